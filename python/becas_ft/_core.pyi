"""The Rust core: protobuf bytes in and out; every call releases the GIL and is safe from any thread."""

from typing import Self, final

__all__ = [
    "ClosedError",
    "ConfigError",
    "Core",
    "CoreError",
    "DeadlineExceededError",
    "DiskError",
    "DiskFullError",
    "Export",
    "InvalidArgumentError",
    "KeyFileError",
    "NotFoundError",
    "OverloadedError",
    "Reservation",
    "StoreError",
    "StoreFullError",
    "Submitted",
    "__version__",
    "categories",
    "events_from_json",
    "output_schema",
    "redact_line",
    "system",
]

__version__: str

class CoreError(Exception):
    """Root of the core's errors; messages hold no raw text and no raw ids."""

class InvalidArgumentError(CoreError):
    """A field of the request is unusable; `args` are (field path, what is wrong and what to send instead)."""

class NotFoundError(CoreError):
    """What was asked for does not exist."""

class StoreFullError(CoreError):
    """The store has reached its configured size; reading goes on. Attribute: `limit_bytes`."""

class DiskFullError(CoreError):
    """No space is left on the disk; reading goes on, and so does writing once there is space."""

class OverloadedError(CoreError):
    """Too many bytes wait for the writer, or too many reads are under way; try again shortly.

    Attribute of the former: `queued_bytes`.
    """

class DeadlineExceededError(CoreError):
    """The deadline passed before the write began; nothing was written."""

class KeyFileError(CoreError):
    """The key file is missing, open to others, or another store's."""

class StoreError(CoreError):
    """The store on disk is damaged, of another version, or already open."""

class DiskError(CoreError):
    """The disk failed; the store takes no more writes until it is opened again."""

class ConfigError(CoreError):
    """The configuration is unusable; all problems at once."""

class ClosedError(CoreError):
    """The store was closed."""

@final
class Core:
    """One open store with its pipeline.

    Arguments:
        data_dir: holds the environment (`examples/`) and, beside it, the key file.
        config_json: overrides of the defaults, as JSON; see `becas_core::config`.
        key_path: the key file; `{data_dir}/becas.key` where empty.
    Raises: KeyFileError, StoreError, ConfigError.
    """

    def __new__(cls, data_dir: str, config_json: str = "{}", key_path: str = "") -> Self: ...
    def ingest(self, request: bytes, *, labeller: bool = True, timeout: float | None = None) -> bytes:
        """IngestRequest in, IngestResponse out once all it acknowledges is on disk; timeout in seconds."""

    def reserve(self, size: int) -> Reservation:
        """Room before the writer for a request of so many bytes, so that it is refused before any work for it.

        Raises: OverloadedError where too much waits.
        """

    def submit(
        self,
        request: bytes,
        reservation: Reservation | None = None,
        *,
        labeller: bool = True,
        timeout: float | None = None,
        timed: bool = False,
    ) -> Submitted:
        """The first half of `ingest`: the events have their place before the writer; the bytes come from `wait`.

        Requests that are submitted one after another are decided in that order, and can still share a commit. `timed`
        measures each stage. Without a reservation it has to find room now.
        """

    def wakes(self) -> int:
        """A file descriptor, the caller's to close: readable after each commit, for whoever polls what was submitted.

        A second call takes the place of the first, whose descriptor ends.
        """

    def stats(self) -> bytes:
        """GetTrainingStatsResponse, from counters: the same cost at any size."""

    def recount(self) -> bytes:
        """GetTrainingStatsResponse, from scratch: reads every record."""

    def list_examples(self, request: bytes) -> bytes:
        """ListExamplesRequest in, ListExamplesResponse out."""

    def get_example(self, request: bytes) -> bytes:
        """GetExampleRequest in, GetExampleResponse out."""

    def export(self, request: bytes) -> Export:
        """ExportRequest in; an iterator over ExportResponse bytes out."""

    def forget(self, user_id: str) -> tuple[int, int, list[str]]:
        """Erases a user; (examples, other records) erased, and ids of the datasets that held one of the examples."""

    def set_consent(self, guild_id: str, granted: bool) -> int:
        """Grants or withdraws; examples erased."""

    def has_consent(self, guild_id: str) -> bool:
        """Whether the guild's events may be used."""

    def has_consent_at_once(self, guild_id: str) -> bool | None:
        """The same without waiting for anybody; None while the store grows or is rewritten."""

    def expire(self) -> int:
        """Erases what is older than the configured maximum age; examples erased."""

    def prompt(self, request: bytes) -> tuple[str, str]:
        """ShadowTestRequest in; (system, redacted input) out: the bytes that ingest makes of the message."""

    def pseudonym(self, kind: str, raw: str) -> str:
        """Kind is user, guild, channel, message or event (requests too); 32 hexadecimal digits."""

    def redact(self, text: str) -> str:
        """Text without personal data, by the patterns that examples go through."""

    def outbox(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Corrections after a cursor: (cursor, JSON `{request, label, mistake, verified, time_ms}`)."""

    def outbox_trim(self, up_to: int) -> None:
        """Forgets outbox entries up to a cursor."""

    def labelling_queue(self, limit: int) -> list[str]:
        """Corrections that gave no label: JSON `{event, category, label, input, time_ms}` each."""

    def metrics(self) -> dict[str, float]:
        """Counters (named `…_total`) and gauges by name."""

    def histograms(self) -> dict[str, tuple[list[tuple[float, float]], float]]:
        """By name: (upper bound, values up to it), ascending, the last bound infinite; and the sum of the values."""

    def quality_histogram(self, request: bytes) -> bytes:
        """GetQualityHistogramRequest in, GetQualityHistogramResponse out."""

    def verify(self) -> list[str]:
        """Problems found by reading everything; empty when sound."""

    def repair(self) -> list[str]:
        """Drops what is damaged and counts again; the problems that there were."""

    def copy_to(self, directory: str) -> None:
        """Copies the store, as of one moment, into `{directory}/examples`; ingest goes on, the key stays behind."""

    def outbox_end(self) -> int:
        """The newest cursor that the outbox ever gave out; 0 before the first."""

    def close(self) -> None:
        """Waits for the writer; later calls raise ClosedError."""

@final
class Reservation:
    """Room before the writer that a request holds until it is submitted, or until this is gone."""

@final
class Submitted:
    """A request on its way to a commit."""

    def wait(self) -> bytes:
        """IngestResponse, once everything it acknowledges is on disk; once only."""

    def poll(self) -> bytes | None:
        """The same at once, or None while it is not; raises what `wait` would. Once only."""

    def stages(self) -> list[tuple[str, float]]:
        """Seconds that each stage before the writer took, summed over the events; empty unless submitted `timed`."""

@final
class Export:
    """An iterator over ExportResponse bytes; reads the store in short transactions."""

    def __iter__(self) -> Export: ...
    def __next__(self) -> bytes: ...

def events_from_json(lines: list[str]) -> list[tuple[bytes | None, str | None]]:
    """Bots' JSON lines to Event bytes; (bytes, None) or (None, why it is INVALID) each."""

def redact_line(text: str) -> tuple[str, list[tuple[int, int, str]]]:
    """The redacted text, and spans (start, end, type) in code points of the input."""

def system(category: str) -> str:
    """The instruction of a category."""

def output_schema(category: str) -> str:
    """The JSON schema of a category's output, the label first."""

def categories() -> list[tuple[str, str, str]]:
    """(name, label key, model target) in the order of the proto."""
