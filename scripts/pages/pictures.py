"""The pictures of the page on statistics, drawn from the product's own statistics."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from becas_ft.evidence.detector import ROLL_BACK_AT
from becas_ft.evidence.eprocess import log_e_values
from becas_ft.evidence.intervals import wilson
from becas_ft.evidence.sequence import win_rate_interval
from becas_ft.evidence.spending import threshold_of_version
from pages import simulation

_LONGEST = 2000
_ALPHA = 0.05
_TRUE_RATE = 0.7
_WIDTH, _HEIGHT = 7.2, 3.6
# Okabe and Ito's colours, which colour-blind readers tell apart.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#d55e00", "#009e73", "#7f7f7f"
_STYLE = {
    "svg.hashsalt": "becas-ft",
    "svg.fonttype": "path",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 9.0,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def draw(folder: Path) -> None:
    """Write every picture into a folder, as SVG; the same bytes each time."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]  # its type lists every name there is
        for name, fill in (
            ("peeking", _peeking),
            ("power", _power),
            ("evidence", _evidence),
            ("win-rate", _win_rate),
            ("rollback", _rollback),
        ):
            figure = Figure(figsize=(_WIDTH, _HEIGHT))
            fill(figure.subplots())
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def _peeking(axes: Axes) -> None:
    pairs = np.arange(1, _LONGEST + 1)
    for look, colour, label in (
        (simulation.naive, _ORANGE, "p < .05, looked at after every pair"),
        (simulation.win_rate_only, _GREY, "65 % of the decisive pairs won, nothing else"),
        (simulation.product, _BLUE, f"becas-ft: 65 % and an e-value of {threshold_of_version(1):.0f}"),
    ):
        chance = simulation.chance_to_promote(look, 0.5, _LONGEST)
        axes.plot(pairs, 100 * chance, color=colour, label=f"{label}: {100 * chance[-1]:.2g} %")
    axes.axhline(100 * _ALPHA, color="black", linestyle=":", linewidth=1, label="what was promised: 5 %")
    axes.set(xlabel="judged pairs, none a tie", ylabel="promoted by then, %", xlim=(0, _LONGEST), ylim=(0, None))
    axes.set_title("Two equal models: how often is the candidate promoted?", loc="left")
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.44))


def _power(axes: Axes) -> None:
    longest = _LONGEST // 2
    pairs = np.arange(1, longest + 1)
    for win_rate, colour in ((0.6, _GREY), (0.65, _ORANGE), (0.7, _GREEN), (0.75, _BLUE)):
        chance = simulation.chance_to_promote(simulation.product, win_rate, longest)
        axes.plot(pairs, 100 * chance, color=colour, label=f"wins {100 * win_rate:.0f} % of the decisive pairs")
    axes.set(xlabel="judged pairs, none a tie", ylabel="promoted by then, %", xlim=(0, longest), ylim=(0, 101))
    axes.set_title("A better candidate: how soon is it promoted?", loc="left")
    axes.legend(loc="center right")


def _evidence(axes: Axes) -> None:
    random = np.random.default_rng(11)
    trials, longest = 15, 400
    for win_rate, colour, label in ((0.5, _GREY, "equal models"), (0.7, _BLUE, "the candidate wins 70 %")):
        wins = np.cumsum(random.random((trials, longest)) < win_rate, axis=1)
        decisive = np.arange(1, longest + 1)
        for number, path in enumerate(log_e_values(wins, decisive - wins) / np.log(10)):
            axes.plot(decisive, path, color=colour, linewidth=0.8, alpha=0.7, label=label if number == 0 else None)
    needed = threshold_of_version(1)
    label = f"needed by a first version: {needed:.0f}"
    axes.axhline(np.log10(needed), color="black", linestyle=":", linewidth=1, label=label)
    axes.set(xlabel="decisive pairs", ylabel="e-value", xlim=(0, longest), ylim=(-2.5, 8))
    axes.set_yticks([-2, 0, 2, 4, 6, 8], ["0.01", "1", "100", "10⁴", "10⁶", "10⁸"])
    axes.set_title("The e-value of fifteen trials each", loc="left")
    axes.legend(loc="upper left", frameon=True, framealpha=0.9, edgecolor="none")


def _win_rate(axes: Axes) -> None:
    random = np.random.default_rng(3)
    decisive = np.unique(np.geomspace(5, 600, 60).astype(int))
    wins = np.cumsum(random.random(decisive[-1]) < _TRUE_RATE)[decisive - 1]
    always = [win_rate_interval(int(won), int(count)) for won, count in zip(wins, decisive, strict=True)]
    once = [wilson(float(won), float(count)) for won, count in zip(wins, decisive, strict=True)]
    axes.fill_between(
        decisive,
        [interval.lower for interval in always],
        [interval.upper for interval in always],
        color=_BLUE,
        alpha=0.2,
        label="holds at every look at once (becas-ft decides by this kind)",
    )
    for bound in ("lower", "upper"):
        axes.plot(
            decisive,
            [getattr(interval, bound) for interval in once],
            color=_ORANGE,
            linestyle="--",
            label="Wilson: holds at one look, chosen before" if bound == "lower" else None,
        )
    axes.plot(decisive, wins / decisive, color=_BLUE, label="seen")
    axes.axhline(_TRUE_RATE, color="black", linestyle=":", linewidth=1, label="true")
    axes.set(xlabel="decisive pairs", ylabel="win rate", xscale="log", xlim=(5, 600), ylim=(0, 1))
    axes.set_xticks([5, 10, 20, 50, 100, 200, 500], ["5", "10", "20", "50", "100", "200", "500"])
    axes.minorticks_off()
    axes.set_title("What a trial knows of the win rate", loc="left")
    axes.legend(loc="lower right")


def _rollback(axes: Axes) -> None:
    rates = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
    delays = [simulation.delay_to_rollback(rate) for rate in rates]
    shown = [100 * delay.loss_rate for delay in delays]
    low, middle, high = np.transpose([delay.quartiles for delay in delays])
    axes.fill_between(shown, low, high, color=_BLUE, alpha=0.2, label="half of the runs")
    axes.plot(shown, middle, color=_BLUE, marker="o", label="median")
    for rate, pairs in zip(shown, middle, strict=True):
        axes.annotate(f"{pairs:.0f}", (rate, pairs), textcoords="offset points", xytext=(4, 6))
    axes.set(
        xlabel="share of the decisive pairs that the old model wins, %; four pairs in five are ties",
        ylabel="judged pairs until rollback",
        ylim=(0, None),
    )
    axes.set_title(f"A promoted model turned worse: rollback at an e-value of {ROLL_BACK_AT:,.0f}", loc="left")
    axes.legend(loc="upper right")
