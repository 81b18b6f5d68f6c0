"""Live progress of a job: one JSON line an event, readable while it is written and after a kill."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

STAGES: Final = ("loading", "encoding", "training", "writing", "evaluating", "done", "starting again")


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """One event.

    Attributes:
        stage: one of `STAGES`.
        step: optimizer steps done; held-out rows labelled, over all passes, while evaluating.
        steps: how many there will be; 0 until they are known.
        loss: mean weighted loss of the step, in nats a token; None outside training.
        tokens_per_second: tokens trained a second of training, resumed runs included; 0 until measured.
        seconds_left: estimate; None until measured.
        peak_rss_bytes: largest resident memory so far.
        notice: what happened that people should know, in words; empty as a rule.
    """

    stage: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens_per_second: float = 0.0
    seconds_left: float | None = None
    peak_rss_bytes: int = 0
    notice: str = ""


class ProgressLog:
    """Appends events to a file, each flushed, after cutting off what a kill left half-written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b", buffering=0)
        self._file.seek(0)
        content = self._file.read()
        self._file.truncate(content.rfind(b"\n") + 1)

    def append(self, event: Progress) -> None:
        """Write one line."""
        self._file.write(json.dumps(dataclasses.asdict(event)).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class ProgressReader:
    """Reads the events of a growing file, each once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> list[Progress]:
        """Return the complete lines that came since the last call."""
        try:
            with self._path.open("rb") as file:
                # A resumed trainer cuts off a half line; only complete lines were counted, so that is never behind us.
                file.seek(self._offset, os.SEEK_SET)
                content = file.read()
        except FileNotFoundError:
            return []
        complete = content[: content.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [Progress(**json.loads(line)) for line in complete.splitlines()]


def losses_by_step(events: list[Progress]) -> list[tuple[int, float]]:
    """Return (step, loss) in the order of steps; of a step done twice, after a resume, the later one counts."""
    by_step = {event.step: event.loss for event in events if event.loss is not None}
    return sorted(by_step.items())
