"""Files and words from people: keys, packages, settings, profiles, lists, searches.

And what a peer answers instead of a result. Whoever hands a file over may be wrong or may
lie; the reader says so in the one way that its caller expects.
"""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from google.protobuf.message import DecodeError
from google.rpc import status_pb2  # type: ignore[import-untyped]  # it has no stubs

from mithaq.certs.entries import sign_agreement
from mithaq.certs.errors import TrustError
from mithaq.certs.keystore import KEY_FILE_SIZE_BYTES_MAX, Keystore
from mithaq.certs.offline import COST_MIN, Passphrase, lock, unlock
from mithaq.certs.tls import tls_key_to_pem
from mithaq.cli.errors import CliError
from mithaq.cli.package import Package, read_package
from mithaq.hub.config import HubConfig
from mithaq.node.imports.errors import ListError
from mithaq.node.imports.unsc import Fault, read_list
from mithaq.node.local.query import parse_query
from mithaq.node.lookup.normal import document_number, document_numbers, name_words
from mithaq.node.records.errors import NameFormError
from mithaq.node.records.mrz import check_digit, mrz_name, suggestions
from mithaq.service.config import ConfigError, load
from mithaq.service.errors import InvalidRequestError, fault_from_status, fault_to_status, to_status
from mithaq.service.profile import PROFILE_FILE, ProfileError, read_profile
from mithaq.service.validation import check_message
from mithaq.v1 import local_pb2
from tests.federation import FEDERATION
from tests.fuzz.cast import CAIRO, agency, federation, material, pair, tls_key
from tests.fuzz.target import (
    SIZE_BYTES_MAX,
    Exposure,
    Finding,
    Target,
    holds,
    same,
    text_of,
)
from tests.imports.lists import AT, TERMS, identify, individual, wrapped

PASSPHRASE = Passphrase("correct horse battery staple")


@cache
def _folder() -> Path:
    """Return a folder in which a target writes the file that it reads."""
    return Path(tempfile.mkdtemp(prefix="fuzz-files-"))


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


# --- keys -----------------------------------------------------------------------------


def key_file(data: bytes) -> None:
    """A key file as each kind of key: read, written again, read again."""
    _file("foreign.key", data[: KEY_FILE_SIZE_BYTES_MAX + 1])
    store = Keystore(_folder())
    loaders: tuple[Callable[[str], object], ...] = (
        store.load_ed25519,
        store.load_mldsa44,
        store.load_pair,
        store.load_reception,
        store.load_secret,
        store.load_tls,
    )
    taken = 0
    for load_kind in loaders:
        try:
            load_kind("foreign")
        except TrustError:
            continue
        taken += 1
    if taken > 1:
        raise Finding("one file is two kinds of key")


def offline_key(data: bytes) -> None:
    """A key under a passphrase; its cost is what a hostile file would use."""
    # A guess at the least cost takes 50 ms, so a costlier file is only told from a key.
    at = len(b"mithaq-offline-key-1\n")
    if len(data) > at and COST_MIN < data[at] <= 20:
        return
    try:
        opened = unlock(data, PASSPHRASE)
    except TrustError:
        return
    same(opened, b"key", "a key opens that nobody has locked")


def passphrase(data: bytes) -> None:
    try:
        read = Passphrase.read(_file("passphrase", data))
    except TrustError:
        return
    holds(data.startswith(read.text.encode()), "another passphrase")


# --- what offices exchange ------------------------------------------------------------


def package(data: bytes) -> None:
    path = _file("package.json", data)
    try:
        read = read_package(path)
    except CliError:
        return
    again = _folder() / "again.json"
    try:
        read.write(again)
    except Exception as fault:
        if getattr(fault, "code", "").startswith("MQ-"):
            return
        raise
    same(read_package(again), read, "a package is written as another")


def un_list(data: bytes) -> None:
    """The Security Council's list, whole and cut into small pieces: the same entries."""
    whole, ends = _entries([data])
    if len(data) > SIZE_BYTES_MAX // 2:
        return
    pieces, ends_in_pieces = _entries([data[at : at + 7] for at in range(0, len(data), 7)])
    # Of two faults the first one read is told, and before it what is whole comes out.
    same(ends_in_pieces, ends, "a list ends otherwise in pieces")
    same(pieces[: len(whole)], whole, "a list says something else in pieces")
    holds(not ends or len(pieces) == len(whole), "a list says more in pieces")


def _entries(chunks: list[bytes]) -> tuple[list[object], bool]:
    """Return the entries that are read, and whether the list was read to its end."""
    found: list[object] = []
    try:
        found.extend(
            each if isinstance(each, Fault) else (each.dataid, each.record.raw)
            for each in read_list(chunks, TERMS, identify=identify(), at=AT)
        )
    except ListError:
        return found, False
    return found, True


# --- settings -------------------------------------------------------------------------


def settings(data: bytes) -> None:
    """A hub's settings from its file, and from the environment."""
    try:
        load(HubConfig, file=_file("hub.toml", data), environment={})
    except ConfigError as error:
        str(error).encode()
    text = text_of(data)
    if text is None or "\0" in text:
        return
    name, _, value = text.partition("=")
    try:
        load(HubConfig, environment={f"MITHAQ_{name}": value})
    except ConfigError as error:
        str(error).encode()


def profile(data: bytes) -> None:
    _file(PROFILE_FILE, data)
    try:
        read = read_profile(_folder())
    except ProfileError:
        return
    for each in (read.address, read.server_name):
        each.encode()


# --- officers -------------------------------------------------------------------------


def query(data: bytes) -> None:
    """A search as an officer asks it."""
    try:
        request = local_pb2.FindAlertsRequest.FromString(data)
        check_message(request)
        asked = parse_query(request)
    except (DecodeError, InvalidRequestError):
        return
    for each in (asked.kind, *asked.terms, *asked.name_query.words):
        each.encode()
    holds(bool(asked.document or asked.name), "a search for nothing")


def words(data: bytes) -> None:
    """Names and numbers in the forms by which they are found."""
    text = text_of(data)
    if text is None:
        return
    whole = document_number(text)
    holds(whole in document_numbers(text) or not whole, "a number is lost")
    name_words(text)
    half = len(text) // 2
    try:
        name = mrz_name(text[:half], text[half:])
        digit = check_digit(name)
    except NameFormError:
        return
    holds(set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ<"), "an odd letter")
    same(suggestions(name, digit=digit), [], "a right digit is doubted")


# --- a peer's answers -----------------------------------------------------------------


def status(data: bytes) -> None:
    """The error of another process, which may say anything, and ends on a terminal."""
    try:
        fault = fault_from_status(status_pb2.Status.FromString(data))
    except DecodeError:
        return
    if fault is None:
        return
    said = (fault.public_message, fault.fix, fault.reference, *sum(fault.violations, ()))
    for each in said:
        if not each.isprintable():
            raise Finding("a peer writes control characters to a terminal")
    again = fault_from_status(fault_to_status(fault))
    same(again is not None and again.code, fault.code, "an error is handed on as another")


# --- seeds ----------------------------------------------------------------------------


def _key_files() -> list[bytes]:
    cairo, folder = agency(CAIRO), Path(tempfile.mkdtemp())
    store = Keystore(folder / "keys")
    store.create("a", cairo.held)
    store.create("b", cairo.receipt_mldsa)
    store.create("c", cairo.log)
    store.create("d", cairo.reception)
    made = [path.read_bytes() for path in sorted(store.directory.iterdir())]
    return [*made, tls_key_to_pem(tls_key("other tls"))]


def _packages() -> list[bytes]:
    standing = federation().registry.agreement("test-agreement")
    terms = standing.agreement.to_bytes()
    signature = sign_agreement(
        terms, federation=FEDERATION, member=CAIRO, name="signer-a", pair=pair("signer")
    )
    made: list[bytes] = []
    for each in (Package(terms), Package(terms, (signature,))):
        path = Path(tempfile.mkdtemp()) / "package.json"
        each.write(path)
        made.append(path.read_bytes())
    return made


def _lists() -> list[bytes]:
    aliases = (
        "<INDIVIDUAL_ALIAS><QUALITY>Good</QUALITY><ALIAS_NAME>Zan</ALIAS_NAME></INDIVIDUAL_ALIAS>"
        "<INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>EXACT</TYPE_OF_DATE><DATE>1970-01-02</DATE>"
        "</INDIVIDUAL_DATE_OF_BIRTH><NATIONALITY><VALUE>Nowhere</VALUE></NATIONALITY>"
    )
    entity = (
        "<ENTITY><DATAID>2</DATAID><VERSIONNUM>1</VERSIONNUM><FIRST_NAME>Zar</FIRST_NAME>"
        "<UN_LIST_TYPE>Synthetic</UN_LIST_TYPE><REFERENCE_NUMBER>SYe.001</REFERENCE_NUMBER>"
        "<LISTED_ON>2001-02-03</LISTED_ON><LIST_TYPE><VALUE>UN List</VALUE></LIST_TYPE></ENTITY>"
    )
    made = (wrapped(), wrapped(individual(1)), wrapped(individual(1, aliases), entity))
    return [*made, b'<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY b "c">]><a/>']


def _settings() -> list[bytes]:
    text = (
        f'federation = "{FEDERATION}"\ndirectory = "/nowhere"\n'
        "[limits]\nwindow_bytes_max = 65536\n[intervals]\nviews_s = 60.0\n"
    )
    return [text.encode(), b"LIMITS__WINDOW_BYTES_MAX=65536", b"DIRECTORY=/nowhere"]


def _profiles() -> list[bytes]:
    files = 'server_ca = "a.pem"\ncertificate = "b.pem"\nkey = "c.pem"\n'
    for name in ("a.pem", "b.pem", "c.pem"):
        _file(name, b"pem")
    return [b'address = "127.0.0.1:1"\nserver_name = "node"\n' + files.encode()]


def _queries() -> list[bytes]:
    made = (
        local_pb2.FindAlertsRequest(document_number="A1234567", issuing_state="EGY"),
        local_pb2.FindAlertsRequest(name="Mohamed Example", date_of_birth="1980-02"),
        local_pb2.FindAlertsRequest(name="محمد", date_of_birth="1980-02-29"),
    )
    for each in made:
        each.grounds.purpose = "BORDER_CONTROL"
        each.grounds.case_reference = "CASE-1"
        each.grounds.justification = "a case of the tests"
    return [each.SerializeToString(deterministic=True) for each in made]


def _statuses() -> list[bytes]:
    errors = (InvalidRequestError(("field", "must be so")), ConfigError("a setting"))
    return [to_status(each).SerializeToString(deterministic=True) for each in errors]


TARGETS = (
    Target("status", Exposure.HUB, status, _statuses, message=status_pb2.Status),
    Target("query", Exposure.OFFICER, query, _queries, message=local_pb2.FindAlertsRequest),
    Target(
        "words",
        Exposure.OFFICER,
        words,
        lambda: [
            each.encode()
            for each in ("A 12-34/567 B", "Mohamed Abd El Rahman", "محمّد عبد الرحمن", "Straße")
        ],
    ),
    Target("key_file", Exposure.FILE, key_file, _key_files),
    Target(
        "offline_key",
        Exposure.FILE,
        offline_key,
        lambda: [lock(b"key", PASSPHRASE, cost=COST_MIN), material("nothing", 64)],
    ),
    Target("passphrase", Exposure.FILE, passphrase, lambda: [PASSPHRASE.text.encode() + b"\n"]),
    Target("package", Exposure.FILE, package, _packages, size_bytes_max=16 * 1024),
    Target("un_list", Exposure.FILE, un_list, _lists),
    Target("settings", Exposure.FILE, settings, _settings),
    Target("profile", Exposure.FILE, profile, _profiles),
)
