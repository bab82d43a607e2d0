"""The hub cannot decrypt: neither it nor anything that it imports names the means to.

The contracts keep the hub from `mithaq.node`, where all opening code is. This looks
for the means themselves, in every syntax tree that runs in the hub's process. It
reads names, not prose: a docstring may say what the hub can't do.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture import rooms

# Every class and function of `cryptography` (and of what else might come) that can
# turn a ciphertext into a plaintext, and whatever is called like one. `decipher_only`
# is a usage that X.509 certificates state.
MEANS = re.compile(
    r"aead|hpke|aes_?(gcm|ccm|ocb|siv|cbc|ctr|256)|chacha|fernet|decrypt|decipher(?!_only)|unseal"
    r"|\bciphers?\b|unwrap_key|aes_key_unwrap|keywrap|secretbox|sealedbox",
    re.IGNORECASE,
)
# By these a name could be reached without being written.
DISGUISES = {"__import__", "import_module", "eval", "exec", "run_module", "run_path"}
LOOKUPS = {"getattr", "attrgetter", "resolve_name"}


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every name in a file with its line, and every text by which one is looked up."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        line = getattr(node, "lineno", 0)
        yield from ((line, name) for name in _names_of(node))


def _names_of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=alias):
            yield name
            yield alias or name
        case ast.ImportFrom(module=str(module)):
            yield module
        case ast.keyword(arg=str(name)):
            yield name
        case ast.Call(func=ast.Name(id=function) | ast.Attribute(attr=function), args=arguments):
            if function in LOOKUPS:
                yield from (_text(argument) for argument in arguments)
        case _:
            pass


def _text(argument: ast.expr) -> str:
    """Return the literal pieces of an argument as one text: 'AES' + 'GCM' is a name too."""
    pieces = (node.value for node in ast.walk(argument) if isinstance(node, ast.Constant))
    return "".join(piece for piece in pieces if isinstance(piece, str))


def hub_process(root: Path) -> dict[str, Path]:
    """Return every module of ours that may be loaded in the hub's process."""
    everything = rooms.modules(root=root)
    hub = {
        name: path for name, path in everything.items() if name.split(".")[:2] == ["mithaq", "hub"]
    }
    return {**hub, **rooms.closure(hub, within=everything)}


def means_to_open(root: Path) -> list[str]:
    """Return where the hub's process names a means to decrypt, or could hide one."""
    return sorted(
        {
            f"{module}:{line} {name}"
            for module, path in hub_process(root).items()
            for line, name in names(path)
            if name in DISGUISES or MEANS.search(name)
        }
    )


def test_nothing_in_the_hubs_process_can_open_a_body() -> None:
    assert means_to_open(rooms.ROOT) == []


@pytest.mark.parametrize(
    "text",
    [
        "from cryptography.hazmat.primitives.ciphers.aead import AESGCM\n",
        "from cryptography.hazmat.primitives.ciphers import Cipher\n",
        "from cryptography.hazmat.primitives import hpke\n",
        "from cryptography.hazmat.primitives import ciphers as harmless\n",
        "from cryptography.fernet import Fernet\n",
        "import cryptography.hazmat.primitives.ciphers.aead\n",
        "from nacl.secret import SecretBox\n",
        "def work(box, text):\n    return box.decrypt(text)\n",
        "def decrypt_body(body):\n    return body\n",
        "def work(m):\n    return m.ChaCha20Poly1305\n",
        "def work(m):\n    return getattr(m, 'AESGCM')\n",
        "def work(m):\n    return getattr(m, 'AES' + 'GCM')\n",
        "def work(m, n):\n    return getattr(m, f'AES{n}GCM')\n",
        "def work(m):\n    return m.decipher(b'')\n",
        "def work():\n    return __import__('mithaq.node')\n",
        "def work():\n    return eval('1')\n",
    ],
)
@pytest.mark.parametrize(
    "file",
    ["hub/mithaq/hub/planted.py", "certs/mithaq/certs/planted.py", "ledger/mithaq/ledger/far.py"],
)
def test_a_planted_means_to_decrypt_is_found(tmp_path: Path, file: str, text: str) -> None:
    rooms.plant(
        tmp_path,
        {
            "hub/mithaq/hub/app.py": "def start():\n    from mithaq.service import server\n",
            "service/mithaq/service/server.py": "import mithaq.certs.planted as keys\n",
            "certs/mithaq/certs/planted.py": "from mithaq.ledger import far\n",
            file: text,
        },
    )
    assert means_to_open(tmp_path) != []


def test_what_only_speaks_of_opening_is_not_taken_for_it(tmp_path: Path) -> None:
    rooms.plant(
        tmp_path,
        {
            "hub/mithaq/hub/app.py": '"""Can decrypt nothing: no AESGCM."""\nciphertext = b""\n',
            "node/mithaq/node/sealing.py": "from cryptography.fernet import Fernet\n",
        },
    )
    assert means_to_open(tmp_path) == []
