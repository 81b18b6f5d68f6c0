"""Every database of the ledger: its name, its key, and the message that it holds.

Keys are text or unsigned 64-bit numbers (big-endian, so that they sort). A value is a CRC-32 over the key
and the message's bytes (4 bytes, big-endian), then the bytes. Names carry their version; a change of layout makes a
new name and a migration.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import model_pb2, published_event_pb2, shadow_pb2, training_pb2

SCHEMA_VERSION = 2
META = "meta"

MessageT = TypeVar("MessageT", bound=Message)
KeyT = TypeVar("KeyT", str, int)


@dataclass(frozen=True)
class Table(Generic[KeyT, MessageT]):
    """A database of the ledger: key type, and message type."""

    name: str
    key: type[KeyT]
    message: type[MessageT]

    def encode_key(self, key: KeyT) -> bytes:
        """The key's bytes; numbers sort as numbers."""
        return key.to_bytes(8) if isinstance(key, int) else key.encode()

    def decode_key(self, raw: bytes) -> KeyT:
        """The inverse of encode_key."""
        return self.key(int.from_bytes(raw)) if self.key is int else self.key(raw.decode())


JOBS = Table("jobs-v1", str, training_pb2.Job)
"""By job_id."""

DOOMED = Table("doomed-v1", str, training_pb2.Job)
"""By name: models that were made and are not registered (yet): deleted unless a job registers them."""

MODELS = Table("models-v1", str, model_pb2.Model)
"""By name."""

ALIASES = Table("aliases-v1", int, model_pb2.Alias)
"""By category number."""

AUDIT = Table("audit-v1", int, model_pb2.AuditEntry)
"""By sequence; append-only."""

EVENTS = Table("published-v1", int, published_event_pb2.PublishedEvent)
"""By cursor; append-only, the oldest are dropped."""
SWITCHES = Table("switches-v1", int, model_pb2.AuditEntry)
"""By category number: a promotion or rollback that is under way."""

ANSWERED = Table("answered-v1", str, model_pb2.AuditEntry)
"""By `{action}:{request_id}`: what a repeated request is answered with."""

TRIALS = Table("trials-v1", str, shadow_pb2.Trial)
"""By trial_id."""

TRIAL_COUNTS = Table("trial-counts-v1", str, records_pb2.TrialCounts)
"""By trial_id."""

REQUESTS = Table("requests-v1", str, records_pb2.ShadowRequest)
"""By the pseudonym of the request id."""

PAIRS = Table("pairs-v1", str, records_pb2.Pair)
"""By `{trial_id}/{pseudonym of the request id}`."""

CANARIES = Table("canaries-v1", int, records_pb2.Canary)
"""By category number: a candidate that answers a share of the guilds."""

TABLES: tuple[Table[Any, Any], ...] = (
    JOBS,
    DOOMED,
    MODELS,
    ALIASES,
    AUDIT,
    EVENTS,
    SWITCHES,
    ANSWERED,
    TRIALS,
    TRIAL_COUNTS,
    REQUESTS,
    PAIRS,
    CANARIES,
)
"""All of them; the ledger opens them together."""
