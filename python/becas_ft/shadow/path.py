"""How the evidence of a trial grew, pair by judged pair."""

import math
from typing import Final

from becas.ft.v1 import shadow_pb2
from becas_ft.evidence import pairs, sequence
from becas_ft.places import thin
from becas_ft.shadow import judged

# Each takes two roots, about a millisecond.
_MOST_POINTS: Final = 200


def path(record: judged.Record) -> shadow_pb2.GetTrialPathResponse:
    """The e-value and the win rate's confidence sequence after each judged pair, thinned."""
    grown = pairs.evidence_path(judged.as_pairs(record))
    log10_e = grown.log_e / math.log(10)
    answer = shadow_pb2.GetTrialPathResponse(e_threshold=record.trial.e_threshold)
    for place in thin(grown.wins.size, _MOST_POINTS):
        wins, losses = int(grown.wins[place]), int(grown.losses[place])
        point = answer.points.add(judged=place + 1, wins=wins, losses=losses, log10_e_value=float(log10_e[place]))
        if wins + losses:
            rate = sequence.win_rate_interval(wins, wins + losses)
            point.win_rate.CopyFrom(shadow_pb2.Interval(estimate=rate.estimate, low=rate.lower, high=rate.upper))
    return answer
