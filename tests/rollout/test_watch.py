"""After a promotion the former model is watched for: what brings it back, and what does not."""

import math
import random

import pytest

from becas_ft.evidence.detector import Alarm
from becas_ft.rollout.watch import Budget, Watched, find


def test_nothing_is_asked_for_while_the_promoted_model_is_as_good() -> None:
    """A thousand pairs of equals: no alarm."""
    source = random.Random(7)
    outcomes = tuple(source.choice((1, -1, 0, 0, 0)) for _ in range(1_000))

    assert find(Watched(outcomes), Budget()).alarm is Alarm.NONE


def test_a_bad_turn_is_noticed() -> None:
    """Only the former model right, again and again: the largest stake alone, .6, takes ln(6·10⁴)/ln 1.6 pairs."""
    enough = math.ceil(math.log(6e4) / math.log(1.6))

    found = [find(Watched((1,) * count), Budget()) for count in range(1, enough + 1)]

    alarms = [finding.alarm for finding in found]
    assert alarms[-1] is Alarm.ROLL_BACK
    assert alarms == sorted(alarms, key=list(Alarm).index)
    assert Alarm.WARN in alarms
    assert f"{enough} of {enough} judged pairs" in found[-1].reasons[0]


@pytest.mark.parametrize(
    ("watched", "reason"),
    [
        (Watched(missing=True), "does not have"),
        (Watched(answers=200, invalid=5), "2.5% of 200 answers"),
        (Watched(answers=200, p95_ms=10_001), "10001 ms"),
    ],
)
def test_trip_wires_act_at_once(watched: Watched, reason: str) -> None:
    """Without one judged pair."""
    finding = find(watched, Budget(maximum_invalid_rate=0.02, maximum_p95_ms=10_000))

    assert finding.alarm is Alarm.ROLL_BACK
    assert reason in finding.reasons[0]


@pytest.mark.parametrize(
    "watched", [Watched(answers=199, invalid=199), Watched(answers=200, invalid=4), Watched(answers=199, p95_ms=60_000)]
)
def test_few_answers_trip_nothing(watched: Watched) -> None:
    """Below 200 answers, or at the limit itself."""
    assert find(watched, Budget(maximum_invalid_rate=0.02, maximum_p95_ms=10_000)).alarm is Alarm.NONE
