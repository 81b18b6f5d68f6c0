"""Makes README.md's tables and the plots from results: `python benches/report.py [build/bench/results.json]`."""

from __future__ import annotations

import os
import re
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

import measure
from measure import number, spread

if TYPE_CHECKING:
    from measure import Figure

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "build" / "bench" / "results.json"
PLOTS = HERE / "plots"
README = HERE / "README.md"
BEGIN, END = "<!-- results: written by report.py -->", "<!-- end of results -->"
WIDTH, HEIGHT = 6.4, 2.6


def main() -> None:
    """Read, draw, write."""
    results = measure.recorded(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)
    PLOTS.mkdir(exist_ok=True)
    # The same results give the same files.
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")
    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "becas-ft", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    plots = [name for part, facts in results.items() for name in draw(part, facts["figures"])]
    text = README.read_text()
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    assert pattern.search(text), f"README.md has no place for results: {BEGIN} … {END}"
    README.write_text(pattern.sub(lambda _: f"{BEGIN}\n{tables(results, plots)}\n{END}", text))


def tables(results: dict[str, dict[str, Any]], plots: list[str]) -> str:
    """Targets, then everything that was measured, then the machine."""
    lines = ["| target | measured | reached |", "| --- | --- | --- |"]
    for facts in results.values():
        for figure in facts["figures"]:
            for target in figure.targets:
                reached = "yes" if target.reached else "**no**"
                lines.append(f"| {figure.name}: {target.text} | {target.measured} | {reached} |")
    lines += ["", "| measured | median | min to max | ours / peer |", "| --- | ---: | ---: | ---: |"]
    for facts in results.values():
        for figure in facts["figures"]:
            lines.append(f"| {figure.name} | {number(figure.median)} {figure.unit} | {spread(figure.product)} | |")
            for peer, values in figure.peers.items():
                median = f"{number(statistics.median(values))} {figure.unit}"
                lines.append(f"| – {peer} | {median} | {spread(values)} | {number(figure.ratio(peer))} |")
    lines += [
        "",
        "| part | date | runs | seconds | fsync p50 | load before |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for part, facts in results.items():
        load, fsync = facts["load_average"][0], facts["fsync_ms_p50"]
        lines.append(
            f"| {part} | {facts['date']} | {facts['runs']} | {facts['seconds']:.0f} | {fsync:.2f} ms | {load:.1f} |"
        )
    machines = {
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_bytes'] / 2**30:.0f} GiB, "
        f"{facts['filesystem']}, Linux {facts['kernel']}, Python {facts['python']}"
        for facts in results.values()
    }
    lines += ["", f"Machine: {'; '.join(sorted(machines))}.", ""]
    notes = [f"* {one.name}: {one.note}." for facts in results.values() for one in facts["figures"] if one.note]
    return "\n".join([*lines, *notes, "", *(f"![{name}](plots/{name}.svg)" for name in plots)])


def draw(part: str, figures: list[Figure]) -> list[str]:
    """The plots of a part: bars of what has peers, lines of what has series over a size."""
    made = []
    compared = [figure for figure in figures if figure.peers]
    if compared:
        made.append(_bars(part, compared))
    made += [_line(part, figure) for figure in figures if "stored" in figure.series]
    return made


def _bars(part: str, figures: list[Figure]) -> str:
    import matplotlib.pyplot as plt

    size = (WIDTH, 0.5 + 0.28 * sum(1 + len(figure.peers) for figure in figures))
    fig, axes = plt.subplots(figsize=size, layout="constrained")
    names, values, errors, colours = [], [], [[], []], []  # type: ignore[var-annotated]  # lists of floats and texts
    for figure in figures:
        for name, runs in [
            (figure.name, figure.product),
            *((f"– {name}", runs) for name, runs in figure.peers.items()),
        ]:
            median = statistics.median(runs)
            names.append(f"{name}, {figure.unit}")
            values.append(median)
            errors[0].append(median - min(runs))
            errors[1].append(max(runs) - median)
            colours.append("#999999" if name.startswith("–") else "#3465a4")
    axes.barh(range(len(names)), values, xerr=errors, color=colours, height=0.7, error_kw={"linewidth": 0.8})
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_title(f"{part}: medians, least to most", loc="left")
    return _save(fig, part)


def _line(part: str, figure: Figure) -> str:
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes.plot(figure.series["stored"], figure.series[figure.unit], marker="o", color="#3465a4")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("examples stored")
    axes.set_ylabel(figure.unit)
    axes.set_title("ingest into stores of several sizes", loc="left")
    return _save(fig, f"{part}-growth")


def _save(fig: Any, name: str) -> str:  # noqa: ANN401 - matplotlib's figure
    import matplotlib.pyplot as plt

    fig.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})
    plt.close(fig)
    return name


if __name__ == "__main__":
    main()
