"""Progress can be followed live, survives a kill, and draws a curve."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from becas_ft.training.curve import smoothed, sparkline, write_curve
from becas_ft.training.progress import Progress, ProgressLog, ProgressReader, losses_by_step

if TYPE_CHECKING:
    from pathlib import Path


def test_events_are_read_once_and_whole(tmp_path: Path) -> None:
    """A reader beside the writer gets each event once; a line that is still being written waits."""
    path = tmp_path / "progress.jsonl"
    reader = ProgressReader(path)
    assert reader.new() == []

    with ProgressLog(path) as log:
        log.append(Progress("loading"))
        first = reader.new()
        log.append(Progress("training", 1, 9, 2.5))
    with path.open("ab") as file:
        file.write(b'{"stage": "trai')
    second, third = reader.new(), reader.new()

    assert first == [Progress("loading")]
    assert second == [Progress("training", 1, 9, 2.5)]
    assert third == []


def test_resumed_log_cuts_off_half_a_line(tmp_path: Path) -> None:
    """What a kill left half-written is gone when the log is taken up again, and a live reader does not notice."""
    path = tmp_path / "progress.jsonl"
    with ProgressLog(path) as log:
        log.append(Progress("training", 1, 9, 2.5))
    with path.open("ab") as file:
        file.write(b'{"stage": "trai')
    reader = ProgressReader(path)
    before = reader.new()

    with ProgressLog(path) as log:
        log.append(Progress("training", 1, 9, 2.4))

    assert losses_by_step(before + reader.new()) == [(1, 2.4)]


def test_sparkline_shows_high_and_low() -> None:
    """The highest value is the tallest bar, the lowest the shortest; long series are averaged to the width."""
    assert sparkline([3.0, 2.0, 1.0]) == "█▅▁"
    assert sparkline([1.0] * 4) == "▁▁▁▁"
    assert sparkline([]) == ""
    assert sparkline([float(value) for value in range(100, 0, -1)], width=8) == "█▇▆▅▄▃▂▁"


def test_smoothing_starts_at_the_first_value() -> None:
    """The corrected moving average of a constant is that constant from the beginning."""
    assert smoothed([2.0] * 5) == pytest.approx([2.0] * 5)
    assert smoothed([4.0, 2.0])[1] == pytest.approx((0.9 * 4 + 2) / 1.9)


def test_curve_is_an_svg_with_its_axes_named(tmp_path: Path) -> None:
    """The file is well-formed SVG, names both axes, and is the same for the same points."""
    points = [(1, 2.0), (2, 1.5), (3, 1.1)]

    write_curve(tmp_path / "a.svg", points)
    write_curve(tmp_path / "b.svg", points)

    text = "".join(ET.parse(tmp_path / "a.svg").getroot().itertext())
    assert "optimizer step" in text
    assert "loss, nats a token" in text
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
