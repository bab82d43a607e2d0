"""The demo's processes: ready, killed and stopped, each by its own id."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mithaq.cli.demo.processes import Process, free_ports, is_free, stop_together
from mithaq.cli.errors import CliError, describe


@pytest.fixture
def registrar(tmp_path: Path) -> Process:
    """Return the smallest of the parts, ready to be started."""
    folder, (listen, metrics) = tmp_path / "registrar", free_ports(2)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("a synthetic passphrase\n", encoding="ascii")
    passphrase.chmod(0o600)
    subprocess.run(
        [sys.executable, "-m", "mithaq.cli", "trust", "init", folder, "--federation", "one.example",
         "--administrator", "cairo", "--threshold", "1", "--listen", f"127.0.0.1:{listen}",
         "--metrics-port", str(metrics), "--passphrase-file", passphrase],
        check=True, capture_output=True, timeout=50,
    )  # fmt: skip
    return Process("registrar", ("trust", "run", str(folder)), tmp_path / "log", metrics)


def test_ports_are_free_and_all_different() -> None:
    ports = free_ports(70)
    assert len(set(ports)) == 70
    assert all(map(is_free, ports))


def test_no_port_is_given_twice_though_nobody_listens_there_yet() -> None:
    given = [port for _ in range(300) for port in free_ports(2)]
    assert len(set(given)) == len(given)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])


@pytest.mark.timeout(120)
def test_a_process_is_killed_started_again_and_ended_if_it_does_not_stop(
    registrar: Process,
) -> None:
    registrar.start()
    try:
        registrar.wait_ready()
        first = registrar.pid
        assert registrar.kill() == first
        assert (registrar.is_running, registrar.pid) == (False, 0)
        registrar.start()
        registrar.wait_ready()
        assert registrar.pid not in {0, first}
        # It stands still, so that it can't stop when it is asked to.
        os.kill(registrar.pid, signal.SIGSTOP)
        registrar.ask_to_stop()
        registrar.wait_stopped(until=time.monotonic() + 0.2)
        assert not registrar.is_running
    finally:
        stop_together([registrar])


@pytest.mark.timeout(120)
def test_a_port_in_use_ends_a_part_with_its_code(registrar: Process) -> None:
    with socket.create_server(("127.0.0.1", registrar.metrics_port)):
        registrar.start()
        with pytest.raises(CliError, match="registrar ended before it was ready") as failed:
            registrar.wait_ready()
    assert failed.value.why.startswith("error[MQ-")
    assert str(registrar.metrics_port) in failed.value.why
    assert str(registrar.log_file) in describe(failed.value)[0]


def test_what_was_never_started_stops_at_once(tmp_path: Path) -> None:
    never = Process("never", (), tmp_path / "log", 0)
    stop_together([never])
    assert (never.pid, never.kill()) == (0, 0)
