"""The loss curve, as SVG for a browser and as one line for a terminal."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from becas_ft.files import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BARS: Final = "▁▂▃▄▅▆▇█"
_SMOOTHING: Final = 0.9


def sparkline(losses: Sequence[float], width: int = 60) -> str:
    """Draw values as a line of at most `width` bars, each the mean of its share, from the lowest to the highest."""
    if not losses or width < 1:
        return ""
    count = min(width, len(losses))
    edges = [index * len(losses) // count for index in range(count + 1)]
    means = [sum(losses[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((mean - low) * scale)] for mean in means)


def smoothed(losses: Sequence[float]) -> list[float]:
    """Return the exponential moving average with factor 0.9, corrected for its start at 0."""
    average, values = 0.0, []
    for count, loss in enumerate(losses, start=1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        values.append(average / (1 - _SMOOTHING**count))
    return values


def write_curve(path: Path, points: Sequence[tuple[int, float]]) -> None:
    """Draw (step, loss) points to an SVG file; the same points give the same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Own figure and canvas: pyplot would keep global state.
    with mpl.rc_context({"svg.hashsalt": "becas-ft", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 3.5), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        axes = figure.subplots()
        steps, values = [step for step, _ in points], [loss for _, loss in points]
        axes.plot(steps, values, color="#9aa5b1", linewidth=1, label="step")
        axes.plot(steps, smoothed(values), color="#1f5fbf", linewidth=2, label="smoothed")
        axes.set(xlabel="optimizer step", ylabel="loss, nats a token", title="Training loss")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        with replacing(path) as temporary:
            canvas.print_svg(temporary, metadata={"Date": None})  # type: ignore[no-untyped-call]  # matplotlib
