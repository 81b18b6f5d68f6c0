"""The report as one self-contained page: no script, no request, light and dark."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from becas.ft.v1 import shadow_pb2
from becas_ft.evidence import pairs, sequence
from becas_ft.messages import enum_name
from becas_ft.places import thin
from becas_ft.shadow import grade, judged

_TEMPLATE = Path(__file__).with_name("report.html.j2")
_WIDTH, _HEIGHT = 560.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 12.0, 34.0
_MOST_POINTS = 400
_BINS = 10


@dataclass(frozen=True)
class Axis:
    """Values along one side of a plot, and where they lie.

    Arguments:
        low: least value.
        high: greatest value.
        start: coordinate of the least.
        end: coordinate of the greatest.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The coordinate of a value; what lies outside is drawn at the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.end - self.start), 2)


@dataclass(frozen=True)
class Plot:
    """A plot as the template draws it.

    Arguments:
        title: what is shown.
        x_label: unit of the horizontal axis.
        lines: (class, points as SVG wants them).
        areas: (class, points).
        marks: (class, x, y, width, height) of rectangles.
        dots: (class, x, y).
        x_ticks: (coordinate, text).
        y_ticks: (coordinate, text).
        key: (class, text) of what the colours mean.
    """

    title: str
    x_label: str
    lines: tuple[tuple[str, str], ...] = ()
    areas: tuple[tuple[str, str], ...] = ()
    marks: tuple[tuple[str, float, float, float, float], ...] = ()
    dots: tuple[tuple[str, float, float], ...] = ()
    x_ticks: tuple[tuple[float, str], ...] = ()
    y_ticks: tuple[tuple[float, str], ...] = ()
    key: tuple[tuple[str, str], ...] = ()


def render(record: judged.Record, report: shadow_pb2.ComparisonReport) -> str:
    """The page of a report and of the trial that it was built from."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        report=report,
        trial=report.trial,
        category=record.category,
        winner=enum_name(shadow_pb2.Winner.DESCRIPTOR, report.overall_winner),
        recommendation=enum_name(shadow_pb2.Recommendation.DESCRIPTOR, report.recommendation),
        plots=[
            evidence_plot(record, report.e_threshold),
            win_rate_plot(record),
            latency_plot(record),
            reliability_plot(record),
        ],
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
    )


def evidence_plot(record: judged.Record, threshold: float) -> Plot:
    """The e-value after each judged pair, on a logarithmic axis, with what promotes."""
    path = pairs.evidence_path(judged.as_pairs(record)).log_e / math.log(10)
    limit = math.log10(threshold)
    across = _across(path.size)
    low = min(-1.0, float(path.min(initial=0.0)))
    up = _up(low, max(limit * 1.15, float(path.max(initial=0.0)), 1.0))
    ticks = range(math.ceil(up.low), math.floor(up.high) + 1, max(1, math.ceil((up.high - up.low) / 6)))
    return Plot(
        title="E-value",
        x_label="judged pairs",
        lines=(
            ("limit", _points([(across.start, up.at(limit)), (across.end, up.at(limit))])),
            ("b", _points([(across.at(i + 1), up.at(float(path[i]))) for i in thin(path.size, _MOST_POINTS)])),
        ),
        x_ticks=_counts(across),
        y_ticks=tuple((up.at(tick), f"1e{tick}" if tick else "1") for tick in ticks),
        key=(("b", "e-value that decides"), ("limit", f"promotes from {threshold:.4g}")),
    )


def win_rate_plot(record: judged.Record) -> Plot:
    """Wins over decisive pairs, with the confidence sequence: it holds at every point at once."""
    path = pairs.evidence_path(judged.as_pairs(record))
    decisive = path.wins + path.losses
    steps = [i for i in thin(decisive.size, _MOST_POINTS) if decisive[i]]
    found = [sequence.win_rate_interval(int(path.wins[i]), int(decisive[i])) for i in steps]
    across, up = _across(decisive.size), _up(0.0, 1.0)
    band = [(across.at(i + 1), up.at(one.upper)) for i, one in zip(steps, found, strict=True)]
    band += [(across.at(i + 1), up.at(one.lower)) for i, one in reversed(list(zip(steps, found, strict=True)))]
    middle = [(across.at(i + 1), up.at(one.estimate)) for i, one in zip(steps, found, strict=True)]
    return Plot(
        title="Win rate",
        x_label="judged pairs",
        areas=(("b", _points(band)),) if band else (),
        lines=(("limit", _points([(across.start, up.at(0.5)), (across.end, up.at(0.5))])), ("b", _points(middle))),
        x_ticks=_counts(across),
        y_ticks=tuple((up.at(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        key=(("b", "win rate with its 95 % confidence sequence"), ("limit", "no better, no worse")),
    )


def latency_plot(record: judged.Record) -> Plot:
    """How long A and B took, in quantiles, where nothing else ran beside them."""
    both = judged.latencies(record.rows)
    shares = np.linspace(0.0, 1.0, 101)
    longest = max((float(values.max()) for values in both if values.size), default=1.0)
    across, up = Axis(0.0, 100.0, _LEFT, _WIDTH - _RIGHT), _up(0.0, longest * 1.05)
    lines = []
    for side, values in zip("ab", both, strict=True):
        if values.size:
            found = zip(shares, np.quantile(values, shares), strict=True)
            lines.append((side, _points([(across.at(100 * float(s)), up.at(float(value))) for s, value in found])))
    return Plot(
        title="Latency",
        x_label="per cent of answers that were quicker",
        lines=tuple(lines),
        x_ticks=tuple((across.at(tick), f"{tick}") for tick in (0, 25, 50, 75, 95, 100)),
        y_ticks=tuple((up.at(longest * part), f"{longest * part:.0f} ms") for part in (0.0, 0.25, 0.5, 0.75, 1.0)),
        key=(("a", "A"), ("b", "B")),
    )


def reliability_plot(record: judged.Record) -> Plot:
    """How often each model was right where it stated a confidence; on the diagonal it can be believed."""
    known = [row for row in record.rows if row.HasField("truth")]
    across, up = Axis(0.0, 1.0, _LEFT, _WIDTH - _RIGHT), _up(0.0, 1.0)
    dots = []
    for side in ("a", "b"):
        answers = [getattr(row, side) for row in known]
        right = [grade.is_right(record.category, getattr(row, side).output, row.truth) for row in known]
        stated = np.array([answer.confidence for answer in answers])
        places = np.minimum((stated * _BINS).astype(int), _BINS - 1)
        for place in range(_BINS):
            inside = places == place
            if inside.any():
                share = float(np.array(right)[inside].mean())
                dots.append((side, across.at(float(stated[inside].mean())), up.at(share)))
    return Plot(
        title="Reliability",
        x_label="stated confidence",
        lines=(("limit", _points([(across.at(0.0), up.at(0.0)), (across.at(1.0), up.at(1.0))])),),
        dots=tuple(dots),
        x_ticks=tuple((across.at(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        y_ticks=tuple((up.at(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        key=(("a", "A: right"), ("b", "B: right"), ("limit", "as stated")),
    )


def _across(count: int) -> Axis:
    return Axis(1.0, float(max(count, 2)), _LEFT, _WIDTH - _RIGHT)


def _up(low: float, high: float) -> Axis:
    return Axis(low, high, _HEIGHT - _BOTTOM, _TOP)


def _counts(across: Axis) -> tuple[tuple[float, str], ...]:
    values = sorted({round(across.low + part * (across.high - across.low)) for part in (0.0, 0.25, 0.5, 0.75, 1.0)})
    return tuple((across.at(value), f"{value:,}") for value in values)


def _points(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
