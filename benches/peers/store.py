"""The peer's store: py-lmdb with its own defaults, so that every commit is synced; JSON records, a commit a request."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from typing import TYPE_CHECKING, Any

import lmdb

from becas.ft.v1 import example_pb2, ingest_pb2
from peers.drafts import Draft, draft
from peers.redaction import redact
from peers.scoring import score

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from becas.ft.v1 import event_pb2

_CATEGORIES = {
    name.removeprefix("CATEGORY_").lower(): number for name, number in example_pb2.Category.items() if number
}
#: The receipt so far, the draft, the pseudonym of the id, the digest of the input, the row.
Prepared = tuple[ingest_pb2.Receipt, Draft, str, bytes, dict[str, Any]]
_MAP_BYTES = 8 << 30
_TIERS = {number: name.removeprefix("TIER_").lower() for name, number in example_pb2.Tier.items()}


class Store:
    """Takes events: draft, score, redact, look for duplicates, put, count.

    It has no twins, no eviction, no withdrawal of consent and no memory of rejected ids: less work than the product's.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = lmdb.open(str(folder), map_size=_MAP_BYTES, max_dbs=4)
        self._examples = self._environment.open_db(b"examples")
        self._events = self._environment.open_db(b"events")
        self._inputs = self._environment.open_db(b"inputs")
        self._meta = self._environment.open_db(b"meta")
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._counters: dict[str, int] = {}

    def ingest(self, request: ingest_pb2.IngestRequest) -> ingest_pb2.IngestResponse:
        """A receipt an event, once all are on disk."""
        # What needs no transaction is done before it, beside the commits of other calls.
        prepared = [self._prepare(event) for event in request.events]
        with self._lock, self._environment.begin(write=True) as txn:
            receipts = [self._admit(txn, one) for one in prepared]
            txn.put(b"counters", json.dumps(self._counters).encode(), db=self._meta)
        return ingest_pb2.IngestResponse(receipts=receipts)

    def rows(self) -> Iterable[bytes]:
        """Every example as a JSON line."""
        with self._environment.begin() as txn:
            for _, value in txn.cursor(db=self._examples):
                yield bytes(value)

    def close(self) -> None:
        """Close the environment."""
        self._environment.close()

    def _pseudonym(self, raw: str) -> str:
        return hashlib.blake2b(raw.encode(), key=self._key, digest_size=16).hexdigest() if raw else ""

    def _prepare(self, event: event_pb2.Event) -> Prepared:
        drafted = draft(event)
        points, tier, outcome = score(drafted, event.evidence)
        ids = [
            (kind, raw)
            for kind, raw in (
                ("EVENT", event.event_id),
                ("EVENT", event.causation_id),
                ("EVENT", event.correlation_id),
                ("USER", event.user_id),
                ("GUILD", event.guild_id),
            )
            if raw
        ]

        def clean(value: Any) -> Any:  # noqa: ANN401 - any value of a draft
            if isinstance(value, str):
                return redact(value, ids)
            return [redact(item, ids) for item in value] if isinstance(value, list) else value

        core = {name: clean(value) for name, value in drafted.core.items()}
        context = {name: clean(value) for name, value in drafted.context.items()}
        if event.evidence.context:
            context["Context"] = clean(event.evidence.context)
        output = {name: clean(value) for name, value in drafted.output.items() if value != ""}
        explanation = max(drafted.explanation, event.evidence.reasoning, key=len)
        if explanation:
            output["reasoning"] = clean(explanation)
        folded = json.dumps([drafted.category, *core.values()]).lower()
        digest = hashlib.blake2b(" ".join(folded.split()).encode(), key=self._key, digest_size=16).digest()
        receipt = ingest_pb2.Receipt(
            event_id=event.event_id,
            category=_CATEGORIES[drafted.category],
            tier=tier,
            score=points / 10_000,
        )
        row = {
            "input": "\n".join(f"{name}: {json.dumps(value)}" for name, value in (core | context).items()),
            "output": json.dumps(output, separators=(",", ":")),
            "metadata": {
                "category": drafted.category,
                "tier": _TIERS[tier],
                "outcome": outcome,
                "user": self._pseudonym(event.user_id),
                "guild": self._pseudonym(event.guild_id),
                "time": event.time.ToJsonString(),
            },
            "quality": points / 10_000,
        }
        return receipt, drafted, self._pseudonym(event.event_id), digest, row

    def _admit(self, txn: lmdb.Transaction, prepared: Prepared) -> ingest_pb2.Receipt:
        receipt, drafted, event, digest, row = prepared
        name = event.encode()
        if txn.get(name, db=self._events) is not None:
            receipt.status = ingest_pb2.STATUS_DUPLICATE
            return receipt
        if receipt.tier == example_pb2.TIER_REJECT:
            receipt.status = ingest_pb2.STATUS_REJECTED
            self._count("rejected")
        elif txn.get(digest, db=self._inputs) is not None:
            receipt.status = ingest_pb2.STATUS_DUPLICATE
            receipt.reasons.append("SAME_INPUT")
        else:
            receipt.status = ingest_pb2.STATUS_ACCEPTED
            self._count(drafted.category)
            sequence = self._counters[drafted.category]
            key = bytes([receipt.category]) + sequence.to_bytes(8, "big")
            txn.put(key, json.dumps(row, separators=(",", ":")).encode(), db=self._examples)
            txn.put(digest, key, db=self._inputs)
        txn.put(name, bytes([receipt.status]), db=self._events)
        return receipt

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1
