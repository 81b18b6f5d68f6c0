"""How much each client may send."""

import pytest

from becas_ft.access.limits import ClientLimits


class Clock:
    """Seconds, as a test says."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """At zero."""
    return Clock()


def test_calls(clock: Clock) -> None:
    """A second's worth at once, then as many as the time that passes allows."""
    limits = ClientLimits(4, 0, clock)

    assert [limits.take("a", 10**9) for _ in range(5)] == [0, 0, 0, 0, 0.25]
    clock.now += 0.25
    assert [limits.take("a", 0) for _ in range(2)] == [0, 0.25]
    clock.now += 100
    assert [limits.take("a", 0) for _ in range(5)] == [0, 0, 0, 0, 0.25]


def test_bytes(clock: Clock) -> None:
    """A call larger than a second's worth goes through, and the next waits until it is paid for."""
    limits = ClientLimits(0, 100, clock)

    assert limits.take("a", 350) == 0
    assert limits.take("a", 1) == 2.5
    clock.now += 2.5
    assert limits.take("a", 1) == 0


def test_clients_do_not_share(clock: Clock) -> None:
    """Who sends too much slows nobody but himself."""
    limits = ClientLimits(1, 0, clock)

    assert [limits.take("a", 0), limits.take("a", 0), limits.take("b", 0)] == [0, 1, 0]


def test_less_than_one_call_a_second(clock: Clock) -> None:
    """A small rate still lets single calls through."""
    limits = ClientLimits(0.1, 0, clock)
    limits.take("a", 0)
    clock.now += 10

    assert limits.take("a", 0) == 0


def test_a_client_hears_which_limit_it_is(clock: Clock) -> None:
    """Calls or bytes, by the names of the settings."""
    limits = ClientLimits(2, 100, clock)
    for _ in range(3):
        limits.take("often", 1)
    limits.take("much", 1000)
    limits.take("much", 1)

    assert limits.exceeded("often") == ("server.client_requests_per_second", 2)
    assert limits.exceeded("much") == ("server.client_bytes_per_second", 100)


def test_no_limits(clock: Clock) -> None:
    """Zero is none."""
    limits = ClientLimits(0, 0, clock)

    assert not limits.on
    assert {limits.take("a", 10**9) for _ in range(1000)} == {0}


def test_many_addresses_take_little_room(clock: Clock) -> None:
    """Clients that came once are forgotten; who still owes is not."""
    limits = ClientLimits(1, 10, clock)
    limits.take("debtor", 10**6)
    for number in range(30_000):
        clock.now += 0.001
        limits.take(str(number), 0)

    assert len(limits._buckets) < 13_000
    assert limits.take("debtor", 0) > 1000
