"""Figures of runs: medians, from the least to the most, against peers of the same run and against targets."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console


@dataclass(frozen=True)
class Target:
    """What a figure must reach.

    Attributes:
        text: in words, with the number.
        measured: the number that is compared, as a text.
        reached: whether it does.
    """

    text: str
    measured: str
    reached: bool


@dataclass
class Figure:
    """One thing that was measured, a value a run.

    Attributes:
        name: what it is.
        unit: of the values.
        product: ours.
        peers: those that ran in turns with it, by name.
        targets: what it must reach.
        note: what one must know to read it.
        series: for plots: named lists of numbers.
    """

    name: str
    unit: str
    product: list[float]
    peers: dict[str, list[float]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    note: str = ""
    series: dict[str, list[float]] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The product's."""
        return statistics.median(self.product)

    def ratio(self, peer: str) -> float:
        """Median of the product's value over the peer's in the same run."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.product, self.peers[peer], strict=True))

    def at_least(self, value: float, what: str = "") -> Figure:
        """Add a target: the median reaches a value."""
        self.targets.append(Target(f"≥ {number(value)} {what or self.unit}", number(self.median), self.median >= value))
        return self

    def below(self, value: float, what: str = "") -> Figure:
        """Add a target: the median stays below a value."""
        self.targets.append(Target(f"< {number(value)} {what or self.unit}", number(self.median), self.median < value))
        return self

    def times(self, peer: str, factor: float) -> Figure:
        """Add a target: the ratio to a peer reaches a factor."""
        ratio = self.ratio(peer)
        self.targets.append(Target(f"≥ {number(factor)} × {peer}", f"{number(ratio)} ×", ratio >= factor))
        return self

    def at_most_times(self, peer: str, factor: float) -> Figure:
        """Add a target: the ratio to a peer stays within a factor."""
        ratio = self.ratio(peer)
        self.targets.append(Target(f"≤ {number(factor)} × {peer}", f"{number(ratio)} ×", ratio <= factor))
        return self

    def require(self, text: str, measured: str, *, reached: bool) -> Figure:
        """Add a target of another form."""
        self.targets.append(Target(text, measured, reached))
        return self


def number(value: float) -> str:
    """Three digits that mean something."""
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3  # noqa: PLR2004 - digits before the point
    return f"{value:,.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:,.0f}"


def spread(values: Sequence[float]) -> str:
    """From the least to the most."""
    return f"{number(min(values))} to {number(max(values))}"


def table(part: str, figures: Sequence[Figure]) -> Table:
    """All figures of a part, each peer on a line of its own."""
    made = Table("what", title=part, title_justify="left")
    for column in ("median", "unit", "min to max", "ours / peer", "target", "reached"):
        made.add_column(column, justify="left" if column in {"unit", "target"} else "right")
    for figure in figures:
        targets = "\n".join(target.text for target in figure.targets)
        reached = "\n".join("yes" if target.reached else f"no: {target.measured}" for target in figure.targets)
        values = (number(figure.median), figure.unit, spread(figure.product))
        made.add_row(figure.name, *values, "", targets, reached)
        for peer, theirs in figure.peers.items():
            values = (number(statistics.median(theirs)), figure.unit, spread(theirs))
            made.add_row(f"  {peer}", *values, number(figure.ratio(peer)), "", "", style="dim")
    return made


def show(part: str, figures: Sequence[Figure], console: Console) -> None:
    """Print a part."""
    console.print(table(part, figures))
    for figure in figures:
        if figure.note:
            console.print(f"[dim]{figure.name}: {figure.note}[/dim]")


def record(path: Path, part: str, figures: Sequence[Figure], facts: dict[str, Any]) -> None:
    """Put a part into the file of results; other parts stay as they are."""
    results = json.loads(path.read_text()) if path.exists() else {}
    results[part] = facts | {"figures": [asdict(figure) for figure in figures]}
    path.write_text(json.dumps(results, indent=2) + "\n")


def recorded(path: Path) -> dict[str, dict[str, Any]]:
    """The results by part; the figures are `Figure` again."""
    results: dict[str, dict[str, Any]] = json.loads(path.read_text())
    for part in results.values():
        part["figures"] = [
            Figure(**{**figure, "targets": [Target(**target) for target in figure["targets"]]})
            for figure in part["figures"]
        ]
    return results
