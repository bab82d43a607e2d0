"""Write the project's own test vectors to tests/vectors/mithaq/.

A second reading of PROTOCOL 1 to 4 and of entry.proto with nothing but hashing,
packing and the standard signatures, so that the ledger is checked against the
rules and not against itself. Run it from anywhere: python tests/vectors/generate.py
"""

import base64
import hashlib
import json
import struct
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

FOLDER: Final = Path(__file__).parent / "mithaq"

FEDERATION: Final = "euroarab.example"
SENDER: Final = "eg-moi"
READERS: Final = ("int-iom", "tn-dgsn")
AGREEMENT: Final = "EA-2026-01"
MINUTE: Final = 1_772_600_760
DAY: Final = 1_772_668_800
SECOND: Final = 1_772_600_767

# All of these are public and made up.
SALT: Final = bytes(range(32))
SECRET: Final = bytes(range(32, 64))
REGISTRY_ROOT: Final = hashlib.sha256(b"a registry").digest()
ED25519_SEED: Final = bytes(range(64, 96))
MLDSA_SEED: Final = bytes(range(96, 128))


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def lp(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def merkle_root(leaves: list[bytes]) -> bytes:
    """Follow the recursive definition of RFC 6962, 2.1."""
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return sha256(b"\x00", leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01", merkle_root(leaves[:split]), merkle_root(leaves[split:]))


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def number_field(tag: int, value: int) -> bytes:
    return varint(tag << 3) + varint(value) if value else b""


def bytes_field(tag: int, value: bytes) -> bytes:
    return varint(tag << 3 | 2) + varint(len(value)) + value if value else b""


def terms(fields: dict[int, int | bytes | list[bytes]]) -> bytes:
    """Encode a message with its fields in ascending order and without zero values."""
    out = b""
    for tag, value in sorted(fields.items()):
        if isinstance(value, int):
            out += number_field(tag, value)
        else:
            each = value if isinstance(value, list) else [value]
            out += b"".join(bytes_field(tag, one) for one in each)
    return out


def reader(member: str) -> bytes:
    return terms({1: member.encode(), 2: sha256(b"reception key of ", member.encode())})


def opening() -> bytes:
    return terms(
        {
            1: FEDERATION.encode(),
            2: SENDER.encode(),
            3: AGREEMENT.encode(),
            4: [each.encode() for each in READERS],
            5: [b"border-check", b"missing-persons"],
            6: REGISTRY_ROOT,
            7: 1,
        }
    )


def entries() -> list[dict[str, Any]]:
    """Return one entry of each kind, in an order that PROTOCOL 3 allows."""
    open_terms = terms({1: 1, 3: 1, 6: 3, 7: 7, 9: MINUTE, 14: opening()})
    stream_id = sha256(b"\x00", lp(open_terms), struct.pack(">Q", 0))
    every: dict[int, int | bytes | list[bytes]] = {1: 1, 2: stream_id, 6: 3, 7: 7, 9: MINUTE}
    body = sha256(b"a body"), sha256(b"a commitment")
    put: dict[int, int | bytes | list[bytes]] = {
        3: 3, 4: b"wanted-person", 5: 2, 8: 1, 10: DAY,
    }  # fmt: skip
    made: list[tuple[str, bytes, bytes]] = [
        ("OPEN", open_terms, struct.pack(">Q", 0)),
        (
            "EPOCH",
            terms({**every, 3: 2, 8: 1, 15: [reader(each) for each in READERS]}),
            struct.pack(">QI32s32s", 1, 2464, *body),
        ),
        ("PUT", terms({**every, **put}), struct.pack(">QI32s32s", 2, 1052, *body)),
        (
            "PUT of a next version",
            terms({**every, **put}),
            struct.pack(">QQI32s32s", 3, 2, 2076, *body),
        ),
        ("WITHDRAW", terms({**every, 3: 4, 11: 2, 12: 1}), struct.pack(">QQ", 4, 2)),
        (
            "CLOSE",
            terms({**every, 3: 5, 13: sha256(b"a successor")}),
            struct.pack(">Q", 5),
        ),
    ]
    return [
        {
            "kind": kind,
            "terms": terms_bytes.hex(),
            "own": own.hex(),
            "leaf": (lp(terms_bytes) + own).hex(),
            "leaf_hash": sha256(b"\x00", lp(terms_bytes), own).hex(),
        }
        for kind, terms_bytes, own in made
    ]


def stream_vectors() -> dict[str, Any]:
    listed = entries()
    leaves = [bytes.fromhex(each["leaf"]) for each in listed]
    stream_id = listed[0]["leaf_hash"]
    return {
        "rules": "PROTOCOL 1.1, 1.2, 3.1, 3.4",
        "federation": FEDERATION,
        "stream_id": stream_id,
        "origin": f"{FEDERATION}/stream/{stream_id}",
        "entries": listed,
        "roots": [merkle_root(leaves[:size]).hex() for size in range(len(leaves) + 1)],
    }


def padded_size(size: int) -> int:
    """Follow PROTOCOL 4.3: 1 to 16 KiB doubling, then eighths of the power of two below."""
    for kib in (1, 2, 4, 8, 16):
        if size <= kib * 1024:
            return kib * 1024
    power = 16 * 1024
    while power * 2 < size:
        power *= 2
    return next(power * eighths // 8 for eighths in range(9, 17) if power * eighths // 8 >= size)


def plaintext(record: bytes) -> bytes:
    text = SALT + lp(record)
    return text + bytes(padded_size(len(text)) - len(text))


def commitment_vectors() -> dict[str, Any]:
    lengths = (0, 1, 987, 988, 989, 2012, 16348, 16349, 18396, 18397, 32732, 32733, 983004)
    records = [(length, bytes(at % 251 for at in range(length))) for length in lengths]
    texts = [(length, plaintext(record)) for length, record in records]
    return {
        "rules": "PROTOCOL 4.1, 4.3",
        "salt": SALT.hex(),
        "secret": SECRET.hex(),
        "epoch_commitment": sha256(b"mithaq/commit/v1", SALT, SECRET).hex(),
        "record": "of each record, byte n is n modulo 251",
        "padded": [
            {
                "record_size": length,
                "plaintext_size": len(text),
                "plaintext_sha256": sha256(text).hex(),
                "record_commitment": sha256(b"mithaq/commit/v1", text).hex(),
            }
            for length, text in texts
        ],
    }


def sealing_vectors() -> dict[str, Any]:
    stream_id = bytes.fromhex(entries()[0]["leaf_hash"])
    key_id = sha256(b"reception key of ", READERS[0].encode())
    epoch, sequence = struct.pack(">Q", 3), struct.pack(">Q", 4711)
    names = lp(SENDER.encode()) + lp(READERS[0].encode()) + lp(key_id)
    return {
        "rules": "PROTOCOL 4.1, 4.2, 4.4",
        "stream_id": stream_id.hex(),
        "epoch": 3,
        "sequence": 4711,
        "sender": SENDER,
        "reader": READERS[0],
        "key_id": key_id.hex(),
        "epoch_info": (b"mithaq/epoch/v1" + lp(stream_id) + epoch + names).hex(),
        "content_info": (b"mithaq/content/v1" + lp(stream_id) + epoch).hex(),
        "body_aad": (stream_id + sequence).hex(),
    }


def mldsa_statement(cosigner: str, origin: str, size: int, root: bytes) -> bytes:
    names = [struct.pack("B", len(each)) + each.encode() for each in (cosigner, origin)]
    at, span = struct.pack(">Q", SECOND), struct.pack(">QQ", 0, size)
    return b"subtree/v1\n\x00" + names[0] + at + names[1] + span + root


def statement_vectors() -> dict[str, Any]:
    stream = stream_vectors()
    origin, size, root = (
        stream["origin"],
        len(stream["entries"]),
        bytes.fromhex(stream["roots"][-1]),
    )
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    name = f"{FEDERATION}/held/{READERS[0]}"
    ed25519 = Ed25519PrivateKey.from_private_bytes(ED25519_SEED).public_key().public_bytes_raw()
    mldsa = MLDSA44PrivateKey.from_seed_bytes(MLDSA_SEED).public_key().public_bytes_raw()
    return {
        "rules": "PROTOCOL 1.2 to 1.4; c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature",
        "federation": FEDERATION,
        "origin": origin,
        "size": size,
        "root": root.hex(),
        "posix_seconds": SECOND,
        "cosigner": name,
        "checkpoint_text": text,
        "ed25519_public": ed25519.hex(),
        "mldsa44_public": mldsa.hex(),
        "key_ids": {
            "0x01 of the log": sha256(origin.encode(), b"\n\x01", ed25519)[:4].hex(),
            "0x06 of the log": sha256(origin.encode(), b"\n\x06", mldsa)[:4].hex(),
            "0x04 of the cosigner": sha256(name.encode(), b"\n\x04", ed25519)[:4].hex(),
            "0x06 of the cosigner": sha256(name.encode(), b"\n\x06", mldsa)[:4].hex(),
        },
        "ed25519_statement": f"cosignature/v1\ntime {SECOND}\n{text}".encode().hex(),
        "mldsa44_statement": mldsa_statement(name, origin, size, root).hex(),
        "origins": [
            [["registry"], f"{FEDERATION}/registry"],
            [["audit", "hub", 1], f"{FEDERATION}/audit/hub"],
            [["audit", SENDER, 1], f"{FEDERATION}/audit/{SENDER}"],
            [["audit", SENDER, 2], f"{FEDERATION}/audit/{SENDER}/2"],
        ],
    }


def signature_line(name: str, key_type: int, public: bytes, signature: bytes) -> str:
    key_id = sha256(name.encode(), b"\n", bytes((key_type,)), public)[:4]
    return f"— {name} {base64.b64encode(key_id + signature).decode()}\n"


def signed_vectors() -> dict[str, Any]:
    """Return a signed checkpoint; ML-DSA-44 signatures differ each time they are made."""
    told = statement_vectors()
    origin, text, at = told["origin"], told["checkpoint_text"], struct.pack(">Q", SECOND)
    ed25519 = Ed25519PrivateKey.from_private_bytes(ED25519_SEED)
    mldsa = MLDSA44PrivateKey.from_seed_bytes(MLDSA_SEED)
    name, root = told["cosigner"], bytes.fromhex(told["root"])
    owner = mldsa_statement(origin, origin, told["size"], root)
    ed25519_public, mldsa_public = (
        each.public_key().public_bytes_raw() for each in (ed25519, mldsa)
    )
    held = ed25519.sign(bytes.fromhex(told["ed25519_statement"]))
    return {
        "rules": "PROTOCOL 1.3, 1.4",
        "note": text
        + "\n"
        + signature_line(origin, 1, ed25519_public, ed25519.sign(text.encode()))
        + signature_line(origin, 6, mldsa_public, at + mldsa.sign(owner)),
        "held_line": signature_line(name, 4, ed25519_public, at + held),
        "held_mldsa44_line": signature_line(
            name, 6, mldsa_public, at + mldsa.sign(bytes.fromhex(told["mldsa44_statement"]))
        ),
    }


def lists_vectors() -> dict[str, Any]:
    """Return a refusal list and a freeze list, and what their signatures are over."""
    stream_id, root = sha256(b"a stream"), sha256(b"a root")
    refusals = [terms({1: number, 2: reason, 3: 7}) for number, reason in ((2, b"LOST"), (9, b"X"))]
    bare = terms({1: stream_id, 2: READERS[1].encode(), 3: refusals})
    head = terms({1: stream_id, 2: 10, 3: root})
    freeze: dict[int, int | bytes | list[bytes]] = {
        1: FEDERATION.encode(),
        2: SENDER.encode(),
        3: READERS[1].encode(),
        4: SECOND,
        5: [head],
    }
    return {
        "rules": "PROTOCOL 5.2, 5.7",
        "refusal_list": (bare + bytes_field(4, bytes(64))).hex(),
        "refusal_list_signed": (
            b"mithaq/refusals/v1" + lp(stream_id) + lp(READERS[1].encode()) + bare
        ).hex(),
        "freeze_list": terms({**freeze, 6: bytes(64), 7: bytes(2420)}).hex(),
        "freeze_list_signed": (b"mithaq/freeze/v1" + terms(freeze)).hex(),
    }


REPEATABLE: Final = {
    "stream.json": stream_vectors,
    "commitment.json": commitment_vectors,
    "sealing.json": sealing_vectors,
    "statement.json": statement_vectors,
    "lists.json": lists_vectors,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, make in {**REPEATABLE, "signed.json": signed_vectors}.items():
        text = json.dumps(make(), indent=1, ensure_ascii=False)
        (FOLDER / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
