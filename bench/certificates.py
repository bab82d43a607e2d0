"""Certificates for what is measured beside the product, of the same kind as the product's."""

from pathlib import Path
from typing import Final

from tests.federation import Federation

CA: Final = "ca"
SERVER: Final = "hub"
SERVER_KEY: Final = "hub-key"
NODE: Final = "node"
NODE_KEY: Final = "node-key"


def write_certificates(folder: Path) -> None:
    """Write PEM files of a CA, a server of the loopback interface and a client."""
    federation = Federation.found()
    federation.enrol_hub()
    federation.enrol("eg-moi")
    server, node = federation.hub_tls(), federation.node_tls("eg-moi")
    texts = {
        CA: server.roots,
        SERVER: server.chain,
        SERVER_KEY: server.private_key,
        NODE: node.chain,
        NODE_KEY: node.private_key,
    }
    for name, text in texts.items():
        path = folder / f"{name}.pem"
        path.touch(mode=0o600)
        path.write_bytes(text)
