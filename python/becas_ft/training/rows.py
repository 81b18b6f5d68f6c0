"""Rows of an exported dataset."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from becas_ft.training.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One example; it has no repr, so that no log shows its text.

    Attributes:
        system: the task.
        input: the message and its context.
        output: compact JSON whose first key is the label.
        label: the label's value as it stands in the output: text, truth value, list, …
        split: train, validation or test.
        user: pseudonym of the author, empty if unknown.
        guild: pseudonym of the guild, empty if unknown.
        example_id: its id.
    """

    system: str
    input: str
    output: str
    label: Any
    split: str
    user: str
    guild: str
    example_id: str


def read_rows(path: Path, label_key: str) -> list[Row]:
    """Read the JSONL lines of an export.

    Raises:
        DatasetError: a line is no such row, or its output does not begin with `label_key`; the line is named by number.
    """
    rows = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                fields = json.loads(line)
                metadata = fields["metadata"]
                output = fields["output"]
                rows.append(
                    Row(
                        system=_text(fields["system"]),
                        input=_text(fields["input"]),
                        output=_text(output),
                        label=label_of(output, label_key),
                        split=_text(metadata.get("split", "train")),
                        user=_text(metadata.get("user") or ""),
                        guild=_text(metadata.get("guild") or ""),
                        example_id=_text(metadata.get("example_id") or ""),
                    ),
                )
            except (KeyError, TypeError, ValueError, AttributeError):
                # No cause is chained: it would quote the line.
                raise DatasetError(
                    f"line {number} of the dataset is no row whose output begins with the key {label_key!r}; "
                    "export the dataset again",
                ) from None
    return rows


def label_of(output: str, label_key: str) -> Any:  # noqa: ANN401  (labels are JSON values)
    """Return the value of an output's first key.

    Raises:
        ValueError: the output is no JSON object that begins with `label_key`.
    """
    answer = json.loads(output)
    if not isinstance(answer, dict) or next(iter(answer), None) != label_key:
        raise ValueError("the output does not begin with the label")
    return answer[label_key]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
