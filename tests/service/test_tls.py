"""TLS material: read from closed files, followed when they change, never half of it."""

from pathlib import Path

import grpc
import grpc.aio
import pytest

from mithaq.service.errors import from_rpc_error
from mithaq.service.tls import (
    Changes,
    ReloadedFiles,
    TlsFileError,
    TlsFiles,
    TlsMaterial,
    channel_credentials_without_certificate,
)
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import Federation
from tests.service.wire import running

HEADS = exchange_pb2.ListHeadsRequest()


def write(material: TlsMaterial, folder: Path, *, mode: int = 0o600) -> TlsFiles:
    """Write material to files as an operator has them."""
    files = TlsFiles(folder / "key.pem", folder / "chain.pem", folder / "ca.pem")
    files.private_key.write_bytes(material.private_key)
    files.private_key.chmod(mode)
    files.chain.write_bytes(material.chain)
    files.roots.write_bytes(material.roots)
    return files


def test_files_are_read_as_they_are(federation: Federation, tmp_path: Path) -> None:
    material = federation.hub_tls()
    assert write(material, tmp_path).read() == material
    assert "PRIVATE" not in repr(material)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_open_to_others_is_refused(
    federation: Federation, tmp_path: Path, mode: int
) -> None:
    files = write(federation.hub_tls(), tmp_path, mode=mode)
    with pytest.raises(TlsFileError, match=r"key\.pem is open"):
        files.read()


@pytest.mark.parametrize("name", ["key.pem", "chain.pem", "ca.pem"])
def test_a_file_that_is_missing_or_no_pem_is_named(
    federation: Federation, tmp_path: Path, name: str
) -> None:
    files = write(federation.hub_tls(), tmp_path)
    (tmp_path / name).write_bytes(b"not PEM")
    with pytest.raises(TlsFileError, match=name):
        files.read()
    (tmp_path / name).unlink()
    with pytest.raises(TlsFileError, match=name):
        ReloadedFiles(files)


def test_changed_files_are_read_again_and_unchanged_ones_are_not(
    federation: Federation, tmp_path: Path
) -> None:
    current = ReloadedFiles(write(federation.hub_tls(), tmp_path))
    first = current()
    assert current() is first
    write(federation.node_tls("eg-moi"), tmp_path)
    assert current() == federation.node_tls("eg-moi")


def test_material_that_is_half_written_leaves_the_old_in_use(
    federation: Federation, tmp_path: Path
) -> None:
    files = write(federation.hub_tls(), tmp_path)
    current = ReloadedFiles(files)
    files.chain.write_bytes(b"")
    assert current() == federation.hub_tls()
    files.chain.unlink()
    assert current() == federation.hub_tls()
    write(federation.node_tls("eg-moi"), tmp_path)
    assert current() == federation.node_tls("eg-moi")


def test_handshakes_are_told_of_a_certificate_once_and_only_when_it_is_new() -> None:
    material = [TlsMaterial(b"key", b"chain", b"roots")]
    changes = Changes(lambda: material[0])
    assert changes.since() is None
    material[0] = TlsMaterial(b"key", b"renewed", b"roots")
    assert changes.since() is not None
    assert changes.since() is None


async def test_a_renewed_certificate_is_shown_at_the_next_handshake(
    federation: Federation, tmp_path: Path
) -> None:
    files = write(federation.hub_tls(), tmp_path)
    async with running(federation, material=ReloadedFiles(files)) as wire:
        first = wire.stub()
        await first.ListHeads(HEADS)
        # Another federation's certificate: whoever connects now can tell the difference.
        other = Federation.found()
        other.enrol_hub()
        renewed = other.hub_tls()
        write(TlsMaterial(renewed.private_key, renewed.chain, federation.hub_tls().roots), tmp_path)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await wire.stub().ListHeads(HEADS)
        assert from_rpc_error(caught.value).code == "MQ-UNREACHABLE"
        # The connection that existed lives on.
        await first.ListHeads(HEADS)


async def test_a_joining_agency_calls_without_a_certificate(federation: Federation) -> None:
    roots = federation.hub_tls().roots
    async with running(federation, identified=False) as wire:
        target = f"127.0.0.1:{wire.port}"
        credentials = channel_credentials_without_certificate(roots)
        async with grpc.aio.secure_channel(target, credentials) as channel:
            stub = exchange_pb2_grpc.PublishServiceStub(channel)
            await stub.ReadOwn(exchange_pb2.ReadOwnRequest(stream_id=bytes(32), count=1))
