"""The detector rolls back in time, seldom by mistake, and is the same after a restart."""

import math

import numpy as np
import pytest

from becas_ft.evidence.detector import Alarm, log_e_paths, replay

PAIRS = 4000
STREAMS = 300


def _streams(worse: float, better: float, seed: int, *, streams: int = STREAMS, pairs: int = PAIRS) -> np.ndarray:
    draws = np.random.default_rng(seed).random((streams, pairs))
    return np.where(draws < worse, 1, np.where(draws < worse + better, -1, 0))


def _delays(paths: np.ndarray, threshold: float) -> np.ndarray:
    reached = paths >= math.log(threshold)
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, PAIRS + 1)


@pytest.fixture(scope="module")
def paths() -> dict[float, np.ndarray]:
    """Evidence over 300 streams of 4,000 pairs with 80 % ties, by the predecessor's share of the decisive ones."""
    shares = (0.5, 0.6, 0.7, 0.8, 0.9)
    streams = np.stack([_streams(0.2 * share, 0.2 * (1 - share), 30 + place) for place, share in enumerate(shares)])
    return dict(zip(shares, log_e_paths(streams), strict=True))


@pytest.mark.parametrize(
    ("share", "to_warning", "to_rollback"),
    [(0.6, 1416, 1992), (0.7, 376, 503), (0.8, 183, 244), (0.9, 128, 163)],
)
def test_delays_of_statistics_page(
    paths: dict[float, np.ndarray], share: float, to_warning: int, to_rollback: int
) -> None:
    """Median pairs to the alarm, with 80 % ties, agree with the table of the page within its own noise."""
    assert np.median(_delays(paths[share], 1e3)) == pytest.approx(to_warning, rel=0.15)
    assert np.median(_delays(paths[share], 1e4)) == pytest.approx(to_rollback, rel=0.15)


def test_false_alarms_of_statistics_page(paths: dict[float, np.ndarray]) -> None:
    """Over 4,000 pairs of equal models about 2 % of the streams warn and none rolls back."""
    assert np.mean(_delays(paths[0.5], 1e3) <= PAIRS) <= 0.05
    assert np.mean(_delays(paths[0.5], 1e4) <= PAIRS) <= 0.01


def test_fall_from_90_to_80_percent_is_rolled_back_in_time() -> None:
    """A promoted model that falls from 90 to 80 % right is rolled back within the delay of the page.

    The predecessor then wins three decisive pairs of four, so that the delay for seven of ten, 503 pairs, is the bound.
    """
    delays = _delays(log_e_paths(_streams(0.15, 0.05, 40)), 1e4)

    assert np.median(delays) <= 503
    assert np.mean(delays <= PAIRS) == 1.0


def test_run_length_to_a_false_alarm() -> None:
    """Equal models without ties reach 100 after at least 100 pairs on average."""
    streams = _streams(0.5, 0.5, 41, streams=400, pairs=1500)
    reached = log_e_paths(streams) >= math.log(100)
    lengths = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, 1500)

    assert lengths.mean() >= 100


def test_replay_and_paths_agree() -> None:
    """Pair by pair, each of another user, and computing all at once give the same evidence."""
    stream = _streams(0.15, 0.05, 42, streams=1, pairs=400)[0]
    state = replay(stream.tolist(), range(len(stream)))

    assert state == replay(stream.tolist())
    assert state.pairs == 400
    assert state.log_e == pytest.approx(log_e_paths(stream)[-1], abs=1e-9)
    assert state.log_peak == pytest.approx(log_e_paths(stream).max(), abs=1e-9)


def test_alarms_rise_and_stay() -> None:
    """The alarm goes from none over warn to roll back, and later good pairs do not take it back."""
    stream = [1] * 60 + [-1] * 200
    alarms = [replay(stream[:pairs]).alarm() for pairs in range(1, len(stream) + 1)]

    assert alarms[0] is Alarm.NONE
    assert alarms.index(Alarm.WARN) < alarms.index(Alarm.ROLL_BACK)
    assert alarms[-1] is Alarm.ROLL_BACK


def test_one_user_rolls_nothing_back() -> None:
    """However often one user is misjudged, even without end, nobody is warned; as many users roll back."""
    assert replay([1] * 5000, ["user"] * 5000).alarm() is Alarm.NONE
    assert replay([1] * 60, [f"user {number}" for number in range(60)]).alarm() is Alarm.ROLL_BACK


def test_bets_of_a_user_by_hand() -> None:
    """Two pairs of one user, one of another: (1 + s)(1 + s/4)(1 + s) for each stake s."""
    by_hand = [(1 + stake) * (1 + stake / 4) * (1 + stake) for stake in (0.05, 0.1, 0.2, 0.3, 0.4, 0.6)]

    assert math.exp(replay([1, 1, 1], ["a", "a", "b"]).log_e) == pytest.approx(sum(by_hand) / 6)


def test_a_user_is_heard_again_after_a_new_start() -> None:
    """Where good pairs brought the wealth below 1, it starts again, and so does everybody's stake."""
    again = replay([1] * 5 + [-1] * 50 + [1], [*["a"] * 5, *range(50), "a"])

    assert again.log_wealth == replay([1], ["a"]).log_wealth


def test_false_alarms_where_few_users_speak() -> None:
    """Equal models whose labels come from five users: within n pairs at most n / A of the streams reach A."""
    random = np.random.default_rng(44)
    peaks = [
        math.exp(replay(stream.tolist(), random.integers(5, size=400).tolist()).log_peak)
        for stream in _streams(0.5, 0.5, 45, streams=150, pairs=400)
    ]

    assert np.mean(np.array(peaks) >= 1e3) <= 400 / 1e3
    assert np.mean(np.array(peaks) >= 1e4) <= 400 / 1e4


def test_long_good_times_do_not_delay_the_alarm() -> None:
    """However long the promoted model did well, the wealth starts again at 1 and not far below."""
    after_good_times = replay([-1] * 5000 + [1] * 40)
    fresh = replay([1] * 40)

    assert after_good_times.log_e == pytest.approx(fresh.log_e, abs=1.0)
    assert after_good_times.alarm() is Alarm.ROLL_BACK


def test_unknown_outcomes_are_refused() -> None:
    """Only 1, 0 and -1 are outcomes."""
    with pytest.raises(ValueError, match="1, 0 or -1"):
        replay([2])
    with pytest.raises(ValueError, match="1, 0 or -1"):
        log_e_paths([0, 3])
