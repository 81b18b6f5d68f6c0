"""Receipts as lines of a file, and summed up."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any, Final

from becas.ft.v1 import example_pb2, ingest_pb2
from becas_ft.cli.event_file import Batch, Invalid
from becas_ft.errors import RemoteError
from becas_ft.messages import enum_name

STATUSES: Final = ("ACCEPTED", "DUPLICATE", "REJECTED", "INVALID", "REFUSED")
_SCORELESS: Final = frozenset({ingest_pb2.STATUS_INVALID, ingest_pb2.STATUS_REFUSED})


@dataclass
class Tally:
    """What became of the events, in numbers."""

    statuses: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    tiers: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def settle(self, batch: Batch, response: ingest_pb2.IngestResponse | None, out: IO[str] | None) -> None:
        """Count a batch and write a line for each of its entries.

        Raises:
            RemoteError: the server answered another number of receipts than there were events.
        """
        receipts = list(response.receipts) if response is not None else []
        if len(receipts) != len(batch.events):
            raise RemoteError(f"the server sent {len(receipts)} receipts for {len(batch.events)} events")
        waiting = iter(receipts)
        for entry in batch.entries:
            line = self._invalid(entry) if entry is not None else self._receipt(next(waiting))
            if out is not None:
                out.write(line)

    def as_object(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "events": self.statuses.total(),
            **{status.lower(): self.statuses[status] for status in STATUSES},
            "accepted_by_category": dict(sorted(self.categories.items())),
            "accepted_by_tier": dict(sorted(self.tiers.items())),
            "reasons": dict(sorted(self.reasons.items())),
        }

    def _invalid(self, entry: Invalid) -> str:
        self.statuses["INVALID"] += 1
        self.reasons[_code(entry.reason)] += 1
        return _line(entry.event_id, "INVALID", None, None, None, [entry.reason])

    def _receipt(self, receipt: ingest_pb2.Receipt) -> str:
        status = (enum_name(ingest_pb2.Status.DESCRIPTOR, receipt.status) or "").upper()
        category = enum_name(example_pb2.Category.DESCRIPTOR, receipt.category)
        tier = enum_name(example_pb2.Tier.DESCRIPTOR, receipt.tier)
        reasons = list(receipt.reasons)
        self.statuses[status] += 1
        self.reasons.update(_code(reason) for reason in reasons)
        if receipt.status == ingest_pb2.STATUS_ACCEPTED:
            self.categories[str(category)] += 1
            self.tiers[str(tier)] += 1
        score = None if receipt.status in _SCORELESS else receipt.score
        return _line(receipt.event_id, status, category, tier, score, reasons)


def _code(reason: str) -> str:
    """`CODE` of `CODE: field: remedy`."""
    return reason.partition(":")[0]


def _line(  # noqa: PLR0917 - in the order of the line
    event_id: str,
    status: str,
    category: str | None,
    tier: str | None,
    score: float | None,
    reasons: list[str],
) -> str:
    """The score has four decimals, which `json` would shorten."""
    return (
        f'{{"eventId":{_text(event_id)},"status":{_text(status)},"category":{_text(category)},"tier":{_text(tier)},'
        f'"score":{"null" if score is None else format(score, ".4f")},"reasons":{_text(reasons)}}}\n'
    )


def _text(value: str | list[str] | None) -> str:
    return json.dumps(value, ensure_ascii=False)
