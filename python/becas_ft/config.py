"""Configuration: defaults, then a TOML file, then the environment, checked as a whole and frozen."""

import json
import os
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from becas_ft._core import categories
from becas_ft.addresses import Address, HttpAddress, LoopbackAddress, is_loopback
from becas_ft.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT_TOML = Path(__file__).with_name("default.toml")
ENVIRONMENT_PREFIX = "BECAS_FT_"
CONFIG_VARIABLE = "BECAS_FT_CONFIG"

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

Share = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[int, Field(ge=0, le=10_000)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Percent = Annotated[int, Field(gt=0, lt=100)]
# gRPC takes message sizes as a C int.
MessageSize = Annotated[ByteSize, Field(ge=KIB, lt=1 << 31)]
Size = Annotated[ByteSize, Field(ge=1)]
_AUTO = BeforeValidator(lambda value: None if value == "auto" else value)


class Section(BaseModel):
    """A table of the file: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Server(Section):
    """The gRPC server."""

    listen: Address = "127.0.0.1:50051"
    dashboard: HttpAddress = ""
    dashboard_hosts: tuple[str, ...] = ()
    access_dir: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    tls_client_names: str = ""
    # None is the file's "auto": whether others can reach the address decides.
    require_tokens: Annotated[bool | None, _AUTO] = None
    client_requests_per_second: Annotated[Annotated[float, Field(ge=0)] | None, _AUTO] = None
    client_bytes_per_second: Annotated[ByteSize | None, _AUTO] = None
    client_streams: Annotated[Count | None, _AUTO] = None
    max_streams: Positive = 512
    max_connections: Positive = 1024
    max_connection_age_seconds: Annotated[float, Field(ge=1, le=86_400)] = 3600.0
    max_connection_grace_seconds: Annotated[float, Field(ge=1, le=604_800)] = 3600.0
    max_metadata_bytes: Annotated[ByteSize, Field(ge=4 * KIB, le=MIB)] = ByteSize(16 * KIB)
    max_message_bytes: MessageSize = ByteSize(4 * MIB)
    max_concurrent_rpcs: Positive = 1024
    max_connection_calls: Positive = 256
    default_deadline_seconds: Seconds = 30.0
    drain_seconds: Seconds = 20.0
    ingest_threads: Annotated[Annotated[int, Field(ge=1, le=1024)] | None, _AUTO] = None
    reader_threads: Annotated[int, Field(ge=1, le=256)] = 8
    stream_window: Annotated[int, Field(ge=1, le=1024)] = 16
    min_free_disk: ByteSize = ByteSize(256 * MIB)
    reflection: bool = True
    channelz: LoopbackAddress = ""

    @field_validator("dashboard_hosts", mode="before")
    @classmethod
    def _hosts_from_environment(cls, hosts: object) -> object:
        return hosts.split(",") if isinstance(hosts, str) else hosts

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key: name both, or neither")
        return self

    @model_validator(mode="after")
    def _dashboard_knows_no_names(self) -> Self:
        if self.tls_client_names and self.dashboard and not is_loopback(self.dashboard):
            raise ValueError(
                "dashboard: beyond loopback it cannot follow tls_client_names: use 127.0.0.1, and a proxy before it"
                " that looks at certificates"
            )
        return self

    @model_validator(mode="after")
    def _streams_leave_room_for_calls(self) -> Self:
        if self.max_streams >= self.max_concurrent_rpcs:
            raise ValueError("max_streams: below max_concurrent_rpcs, or streams could leave no room for calls")
        return self


class Store(Section):
    """What is kept, and where."""

    data_dir: Path = Path("becas-data")
    key_path: str = ""
    capacity: Positive = 50_000
    map_size: Size = ByteSize(256 * MIB)
    map_size_limit: Size = ByteSize(64 * GIB)
    idempotency_days: Count = 30
    idempotency_ids: Count = 10_000_000
    queue_bytes: Size = ByteSize(64 * MIB)
    commit_events: Positive = 5_000
    retention_days: dict[str, Positive] = Field(default_factory=dict)
    consent_by_default: bool = True
    allow_network_filesystem: bool = False

    @field_validator("retention_days")
    @classmethod
    def _categories_exist(cls, days: dict[str, int]) -> dict[str, int]:
        known = {name for name, _, _ in categories()}
        unknown = sorted(days.keys() - known)
        if unknown:
            raise ValueError(f"no such category: {', '.join(unknown)}")
        return days

    @model_validator(mode="after")
    def _limit_is_not_below_start(self) -> Self:
        if self.map_size_limit < self.map_size:
            raise ValueError("map_size_limit: at least map_size")
        return self


class Scoring(Section):
    """The factor table; points and confidences are in 1/10,000."""

    confidence_percent: Annotated[int, Field(ge=0, le=100)] = 35
    detailed_reasoning: Points = 1_500
    clear_outcome: Points = 1_500
    human_validation: Points = 2_000
    rag_enhancement: Points = 1_000
    multiple_precedents: Points = 500
    contextual_data: Points = 1_000
    edge_case: Points = 1_000
    common_pattern: Points = 500
    reasoning_length: Count = 50
    reasoning_length_moderation: Count = 20
    reasoning_length_policy: Count = 30
    precedents_over: Count = 2
    network_users_over: Count = 3
    common_trust_delta: Annotated[float, Field(ge=0)] = 10.0
    success_confidence: Points = 8_000
    gold: Points = 9_000
    silver: Points = 7_500
    bronze: Points = 6_000

    @model_validator(mode="after")
    def _tiers_are_ordered(self) -> Self:
        if not self.bronze <= self.silver <= self.gold:
            raise ValueError("bronze ≤ silver ≤ gold must hold")
        return self


class Limits(Section):
    """Limits on what is taken."""

    event_bytes: Size = ByteSize(MIB)
    text_bytes: Size = ByteSize(64 * KIB)
    id_bytes: Positive = 256
    batch_events: Positive = 5_000


class BaseModels(Section):
    """Ollama's names of the base models."""

    qwen: str = "qwen3:1.7b"
    llama: str = "llama3.2:3b"
    general: str = "qwen3:1.7b"


class Runtime(Section):
    """What runs the models."""

    kind: Literal["auto", "ollama", "embedded"] = "auto"
    ollama_host: str = ""
    embedded_base: str = ""
    default_base_folder: str = ""
    threads: Count = 0
    base_models: BaseModels = BaseModels()


class Training(Section):
    """How models are trained and checked."""

    seed: Count = 0
    max_examples: Count = 0
    max_user_share: Share = 0.01
    max_guild_share: Share = 0.05
    min_users: Count = 50
    quarantine_from: Count = 50
    max_trigger_flips: Share = 0.85
    max_contradicted_labels: Share = 0.03
    min_parity: Annotated[float, Field(ge=0.98, le=1)] = 0.98
    parity_inputs: Annotated[int, Field(ge=300)] = 300
    check_interval_seconds: Seconds = 3600.0
    max_attempts: Positive = 3
    retry_seconds: Seconds = 900.0


class Readiness(Section):
    """What a category needs before it is trained."""

    gold: Count = 500
    total: Count = 2_000
    mean_quality: Share = 0.85
    new_gold: Count = 500
    max_age_days: Annotated[float, Field(gt=0)] = 30.0


class Shadow(Section):
    """How base and candidate are compared."""

    sample_rate: Share = 0.2
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    horizon: Positive = 5_000
    answer_timeout_seconds: Seconds = 30.0
    candidate_timeout_seconds: Seconds = 60.0
    max_concurrent_candidates: Positive = 1
    max_waiting_candidates: Positive = 256


class Promotion(Section):
    """When a candidate takes over, and when it goes."""

    auto_fine_tune: bool = True
    auto_promote: bool = False
    auto_rollback: bool = True
    min_judged: Positive = 100
    min_win_rate: Annotated[float, Field(ge=0.5, le=1)] = 0.65
    max_severe_miss_increase: Share = 0.02
    max_p95_latency_ratio: Annotated[float, Field(ge=1)] = 1.5
    max_invalid_rate: Share = 0.02
    cool_down_seconds: Seconds = 3600.0
    watch_interval_seconds: Seconds = 60.0
    canary: bool = False
    canary_steps: tuple[Percent, ...] = (1, 5, 25, 50)
    canary_min_answers: Positive = 100

    @field_validator("canary_steps", mode="before")
    @classmethod
    def _from_environment(cls, steps: object) -> object:
        return steps.split(",") if isinstance(steps, str) else steps

    @field_validator("canary_steps")
    @classmethod
    def _steps_ascend(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or any(later <= step for step, later in pairwise(steps)):
            raise ValueError("at least one, each over the one before")
        return steps


class Log(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Tracing(Section):
    """Where OpenTelemetry spans go."""

    otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    sample_rate: Share = 1.0


class Config(Section):
    """Everything that can be configured; `default.toml` explains each key."""

    server: Server = Server()
    store: Store = Store()
    scoring: Scoring = Scoring()
    limits: Limits = Limits()
    runtime: Runtime = Runtime()
    training: Training = Training()
    readiness: Readiness = Readiness()
    shadow: Shadow = Shadow()
    promotion: Promotion = Promotion()
    log: Log = Log()
    tracing: Tracing = Tracing()

    @property
    def access_dir(self) -> Path:
        """Where certificates and tokens lie."""
        return Path(self.server.access_dir) if self.server.access_dir else self.store.data_dir / "access"

    @model_validator(mode="after")
    def _events_fit_into_messages(self) -> Self:
        if self.limits.event_bytes > self.server.max_message_bytes:
            raise ValueError("limits.event_bytes: at most server.max_message_bytes, or no such event could arrive")
        return self

    def core_json(self) -> str:
        """The Rust core's part, as the core reads it."""
        return json.dumps(
            {
                "scoring": self.scoring.model_dump(mode="json"),
                "store": self.store.model_dump(mode="json", exclude={"data_dir", "key_path"}),
                "limits": self.limits.model_dump(mode="json"),
            }
        )


def load(
    path: str | os.PathLike[str] | None = None, overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> Config:
    """Read the configuration: defaults, the file, the environment, the command line; the later wins.

    Arguments:
        path: a TOML file; the one that BECAS_FT_CONFIG names, if any, where None.
        overrides: what the command line says: `{"server": {"listen": …}}`.

    Raises:
        ConfigurationError: with every problem at once.
    """
    path = path or os.environ.get(CONFIG_VARIABLE) or None
    values = _file(Path(path)) if path else {}
    _merge(values, _environment(os.environ))
    _merge(values, overrides or {})
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError([_problem(problem) for problem in error.errors()]) from error


def _file(path: Path) -> dict[str, Any]:
    """The tables of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: not TOML: {error}"]) from error


def _environment(variables: Mapping[str, str]) -> dict[str, Any]:
    """Variables `BECAS_FT_SECTION__KEY` as tables.

    Names without `__` (BECAS_FT_CONFIG, BECAS_FT_SERVER) are not settings.
    """
    tables: dict[str, Any] = {}
    for variable, text in variables.items():
        path = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if variable.startswith(ENVIRONMENT_PREFIX) and len(path) > 1:
            nested: Any = text
            for name in reversed(path):
                nested = {name: nested}
            _merge(tables, nested)
    return tables


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Put values over what is there, table by table."""
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, Mapping):
            into[key] = {}
            _merge(into[key], value)
        else:
            into[key] = value


def _problem(problem: "ErrorDetails") -> str:
    """Where a value stands and what is wrong with it, in one line."""
    where = ".".join(str(part) for part in problem["loc"])
    what = "there is no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
    return ": ".join(part for part in (where, what.removeprefix("Value error, ")) if part)
