"""The links: what goes in comes out, unless they are told otherwise."""

import socket
import threading
import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.faults.links import DELAY_S, LOSS, RETRANSMIT_S, Network, recovery_s

TEXT = bytes(range(256)) * 200
TIMEOUT_S = 5.0
LOSSY_S_MAX = 60.0
TRIES = 4000


def echo(server: socket.socket) -> None:
    """Send back whatever comes, on as many connections as come."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=echo_one, args=(connection,), daemon=True).start()


def echo_one(connection: socket.socket) -> None:
    with connection:
        try:
            while part := connection.recv(65_536):
                connection.sendall(part)
        except OSError:
            return


@pytest.fixture
def network() -> Iterator[Network]:
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=echo, args=(server,), daemon=True).start()
    links = Network(("one", "two"), hub_port=server.getsockname()[1], seed=1)
    yield links
    links.close()
    server.close()


def dial(network: Network, name: str = "one") -> socket.socket:
    return socket.create_connection(("127.0.0.1", network.links[name].port), TIMEOUT_S)


def echoed(connection: socket.socket, text: bytes = TEXT) -> bytes:
    threading.Thread(target=connection.sendall, args=(text,), daemon=True).start()
    got = b""
    while len(got) < len(text) and (part := connection.recv(65_536)):
        got += part
    return got


def test_a_link_carries_every_byte_in_order(network: Network) -> None:
    with dial(network) as connection:
        assert echoed(connection) == TEXT


def test_a_link_that_is_cut_ends_its_connections_and_takes_no_other(network: Network) -> None:
    with dial(network) as connection, dial(network, "two") as other:
        assert echoed(connection) == TEXT
        network.cut("one")
        assert is_ended(connection)
        with dial(network) as second:
            assert is_ended(second)
        assert echoed(other) == TEXT
    network.links["one"].is_cut = False
    with dial(network) as connection:
        assert echoed(connection) == TEXT


def is_ended(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"anything")
        return connection.recv(1) == b""
    except OSError:
        return True


def test_a_silent_link_carries_nothing_until_it_is_mended(network: Network) -> None:
    with dial(network) as connection:
        network.links["one"].is_silent = True
        connection.sendall(b"a word")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        network.links["one"].is_silent = False
        connection.settimeout(TIMEOUT_S)
        assert connection.recv(6) == b"a word"


def test_a_slow_link_delays_each_way(network: Network) -> None:
    network.links["one"].is_slow = True
    with dial(network) as connection:
        began = time.monotonic()
        assert echoed(connection, b"a word") == b"a word"
        assert time.monotonic() - began >= 2 * DELAY_S


def test_a_slow_link_loses_two_segments_in_a_hundred_and_no_byte(network: Network) -> None:
    network.links["one"].is_slow = True
    with dial(network) as connection:
        connection.settimeout(LOSSY_S_MAX)
        assert echoed(connection, TEXT * 4) == TEXT * 4
    assert network.counted()["connections"] == 1


def test_what_is_lost_comes_a_round_trip_late_or_after_the_timer() -> None:
    many = [recovery_s(45, Random(seed)) for seed in range(TRIES)]  # noqa: S311 - which is lost
    # Of 45 segments one at least is lost in six of ten tries.
    late = sum(each > 0 for each in many) / TRIES
    assert abs(late - (1 - (1 - LOSS) ** 45)) < 0.03
    assert min(each for each in many if each) == 2 * DELAY_S
    alone = [recovery_s(1, Random(seed)) for seed in range(TRIES)]  # noqa: S311 - which is lost
    assert abs(sum(each > 0 for each in alone) / TRIES - LOSS) < 0.01
    assert {each for each in alone if each} >= {RETRANSMIT_S}
    assert set(alone) <= {0, RETRANSMIT_S, 3 * RETRANSMIT_S, 7 * RETRANSMIT_S}


def test_one_bit_is_turned_over_and_no_other(network: Network) -> None:
    network.links["one"].flips_next = True
    with dial(network) as connection:
        got = echoed(connection, b"a word")
        assert sum((a ^ b).bit_count() for a, b in zip(got, b"a word", strict=True)) == 1
        assert echoed(connection, b"a word") == b"a word"


def test_a_hub_that_is_away_is_as_if_nobody_answered(network: Network) -> None:
    network.links["one"].target_port = 1
    with dial(network) as connection:
        assert is_ended(connection)
    assert network.counted()["connections without a hub"] == 1
