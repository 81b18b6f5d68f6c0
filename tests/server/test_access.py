"""Who may call what, on a real server with TLS and tokens."""

import threading
import time
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from becas.ft.v1 import (
    dataset_pb2,
    dataset_service_pb2_grpc,
    event_service_pb2_grpc,
    example_pb2,
    ingest_pb2,
    ingest_service_pb2_grpc,
    model_pb2,
    model_service_pb2_grpc,
    published_event_pb2,
)
from becas_ft.access import tokens
from becas_ft.access.roles import ROLES, Role, may_call
from becas_ft.rollout import audit
from becas_ft.server import access
from helpers import events
from helpers.access import STATS, Keys, Metadata, answered, bearer, error_of, keys
from helpers.rpc import INGEST, INGEST_STREAM, details, raw_stream, raw_unary, until_error
from helpers.server import ServerProcess, ServerStarter

FORGET = "/becas.ft.v1.DatasetService/Forget"
SUBSCRIBE = "/becas.ft.v1.EventService/Subscribe"


@dataclass(frozen=True)
class Guarded:
    """A server with TLS and tokens."""

    process: ServerProcess
    keys: Keys

    def as_(self, role: Role) -> Metadata:
        """The metadata of a role's token."""
        return bearer(self.keys.secrets[role])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """For tests that only call."""
    folder = tmp_path_factory.mktemp("shared")
    made = keys(folder / "data" / "access")
    process = ServerProcess(folder / "data", folder / "server", variables=made.settings()).start()
    yield Guarded(process, made)
    assert process.stop() == 0


@pytest.fixture(scope="module")
def channel(shared: Guarded) -> Iterator[grpc.Channel]:
    """To `shared`."""
    with shared.keys.channel(shared.process) as opened:
        yield opened


@pytest.fixture
def own(start_server: ServerStarter, data_dir: Path) -> Guarded:
    """For tests that change what the server sees."""
    made = keys(data_dir / "access")
    return Guarded(start_server(**made.settings()), made)


@pytest.mark.parametrize("role", Role)
def test_each_role_calls_what_the_table_says(shared: Guarded, channel: grpc.Channel, role: Role) -> None:
    """Every RPC, as every role: let through, or PERMISSION_DENIED with the roles that may."""
    for method in ROLES:
        error = error_of(channel, method, shared.as_(role))
        if may_call(role, method):
            assert error is None or details_code(error) is not grpc.StatusCode.PERMISSION_DENIED, method
        else:
            assert error is not None, method
            told = details(error)
            assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"), method
            assert f"is not for the role {role}: use a token of the role " in told.message


def details_code(error: grpc.RpcError) -> grpc.StatusCode:
    assert isinstance(error, grpc.Call)
    assert error.code() is not grpc.StatusCode.UNAUTHENTICATED
    return error.code()


def test_every_rpc_needs_a_token(channel: grpc.Channel) -> None:
    """Without one nothing is answered, reflection included; the error says how to send one."""
    for method in ROLES:
        error = error_of(channel, method)
        assert error is not None, method
        told = details(error)
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"), method
        assert "authorization: Bearer TOKEN" in told.message


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("streamed", [False, True], ids=["Ingest", "IngestStream"])
def test_only_a_labellers_word_counts(channel: grpc.Channel, shared: Guarded, role: Role, *, streamed: bool) -> None:
    """What a bot's token confirms gets no points, and what it corrects is not gold: it is kept as unverified."""
    name, seed = f"{role}-{streamed}", 100 * [*Role].index(role) + 10 * streamed
    plain, confirmed = (events.scam_message(f"{name}-{which}", seed + which) for which in range(2))
    plain.evidence.human_validated = False
    request = events.request([plain, confirmed, events.correction(f"{name}-2", f"{name}-0", seed)])
    stub = ingest_service_pb2_grpc.IngestServiceStub(channel)

    if streamed:
        (answer,) = stub.IngestStream(iter([request]), timeout=30, metadata=shared.as_(role))
    else:
        answer = stub.Ingest(request, timeout=30, metadata=shared.as_(role))

    as_sent, as_confirmed, corrected = answer.receipts
    counts = role is not Role.BOT
    assert [receipt.status for receipt in answer.receipts] == [ingest_pb2.STATUS_ACCEPTED] * 3
    assert round(as_confirmed.score - as_sent.score, 4) == (0.2 if counts else 0.0)
    assert (corrected.tier == example_pb2.TIER_GOLD) is counts


def test_health_is_open(channel: grpc.Channel) -> None:
    """Load balancers have no token."""
    stub: Any = health_pb2_grpc.HealthStub(channel)

    answer = stub.Check(health_pb2.HealthCheckRequest(service="becas.ft.v1.IngestService"), timeout=30)
    watched = next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=30))

    assert answer.status == watched.status == health_pb2.HealthCheckResponse.SERVING


def test_wrong_tokens(shared: Guarded, channel: grpc.Channel) -> None:
    """Whatever is not exactly one known token by its scheme is TOKEN_UNKNOWN."""
    secret = shared.keys.secrets[Role.ADMIN]
    wrong: list[Metadata] = [
        (("authorization", value),)
        for value in ("", "Bearer", "Bearer ", secret, f"Basic {secret}", f"Bearer {secret[:-1]}", f"Bearer {secret}x")
    ]
    wrong.append(bearer(secret) + bearer(secret))
    for metadata in wrong:
        error = error_of(channel, STATS, metadata)
        assert error is not None, metadata
        assert (details(error).code, details(error).reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_UNKNOWN")

    assert answered(channel, STATS, (("authorization", f"bearer  {secret}"),))


def test_denial_names_role_and_roles_for_programs(shared: Guarded, channel: grpc.Channel) -> None:
    """ErrorInfo holds what the message says."""
    error = error_of(channel, STATS, shared.as_(Role.BOT))

    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    info = ErrorInfo()
    assert status is not None
    assert any(packed.Unpack(info) for packed in status.details)
    assert info.metadata["role"] == "bot"
    assert info.metadata["roles"] == "labeller,operator,admin"


def test_a_refused_request_is_not_read(channel: grpc.Channel) -> None:
    """Who has no token cannot fill the server's memory: a request beyond the limit is refused for its token first."""
    error = error_of(channel, INGEST, request=b"\x00" * (8 << 20))

    assert error is not None
    assert details(error).reason == "TOKEN_MISSING"


def test_tokens_come_and_go_without_a_restart(own: Guarded) -> None:
    """A token counts as soon as it is added, and no longer once it is revoked or over; connections stay."""
    path = own.keys.folder.tokens
    with own.keys.channel(own.process) as channel:
        added = tokens.add(path, "late", Role.OPERATOR)
        assert answered(channel, STATS, bearer(added.secret))

        tokens.revoke(path, "late")
        error = error_of(channel, STATS, bearer(added.secret))
        assert error is not None
        assert details(error).reason == "TOKEN_UNKNOWN"

        soon = tokens.add(path, "brief", Role.OPERATOR, datetime.now(UTC) + timedelta(seconds=2))
        assert answered(channel, STATS, bearer(soon.secret))
        time.sleep(2.1)
        error = error_of(channel, STATS, bearer(soon.secret))
        assert error is not None
        assert (details(error).code, details(error).reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")


def test_a_revoked_token_ends_its_streams(own: Guarded) -> None:
    """A stream that is open when its token goes takes nothing more."""
    path = own.keys.folder.tokens
    with own.keys.channel(own.process) as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        answered_once = threading.Event()

        def requests() -> Iterator[Any]:
            yield events.request([events.scam_message("streamed-0", 0)])
            # Before that the stream may not have begun: then its token would be unknown.
            assert answered_once.wait(30)
            tokens.revoke(path, Role.BOT)
            yield events.request([events.scam_message("streamed-1", 1)])

        responses = stub.IngestStream(requests(), timeout=60, metadata=own.as_(Role.BOT))
        assert next(responses).receipts
        answered_once.set()
        received, error = until_error(responses)

        assert received == []
        told = details(error)
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED")


@pytest.mark.parametrize(
    "method", [SUBSCRIBE, INGEST_STREAM, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"]
)
def test_an_idle_stream_ends_with_its_token(own: Guarded, method: str) -> None:
    """A stream on which nothing is said ends within moments of its token's revocation; others stay."""
    path = own.keys.folder.tokens
    added = tokens.add(path, "late", Role.OPERATOR)
    with own.keys.channel(own.process) as channel:
        theirs, others = (
            idle_stream(channel, method, bearer(secret)) for secret in (added.secret, own.keys.secrets[Role.ADMIN])
        )
        time.sleep(1.5)
        assert not theirs.done()

        tokens.revoke(path, "late")
        began = time.monotonic()
        _, error = until_error(theirs)

        told = details(error)
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED")
        assert time.monotonic() - began < 10
        assert not others.done()
        others.cancel()


def test_a_stream_ends_when_its_token_does(own: Guarded) -> None:
    """Time ends a token as a revocation does."""
    soon = tokens.add(own.keys.folder.tokens, "brief", Role.OPERATOR, datetime.now(UTC) + timedelta(seconds=2))
    with own.keys.channel(own.process) as channel:
        _, error = until_error(idle_stream(channel, SUBSCRIBE, bearer(soon.secret)))

    assert details(error).reason == "TOKEN_REVOKED"


def idle_stream(channel: grpc.Channel, method: str, metadata: Metadata) -> Any:  # noqa: ANN401 - a call
    """A stream that is open, and on which this side says nothing more."""
    call: Any
    if method == SUBSCRIBE:
        call = channel.unary_stream(method)
        return call(b"", timeout=30, metadata=metadata)
    call = channel.stream_stream(method)
    never = threading.Event()
    return call((request for request in (b"",) if never.wait(60)), timeout=30, metadata=metadata)


def test_too_many_streams(start_server: ServerStarter, data_dir: Path) -> None:
    """A client has its share of streams, and all of them together leave room for calls; each says which limit it is."""
    made = keys(data_dir / "access")
    limits = {"BECAS_FT_SERVER__CLIENT_STREAMS": "2", "BECAS_FT_SERVER__MAX_STREAMS": "3"}
    server = start_server(**made.settings(), **limits)
    bot, operator, admin = (bearer(made.secrets[role]) for role in (Role.BOT, Role.OPERATOR, Role.ADMIN))
    with made.channel(server) as channel:
        bots = [idle_stream(channel, SUBSCRIBE, bot) for _ in range(3)]
        third = the_refused(bots)
        others = [idle_stream(channel, SUBSCRIBE, metadata) for metadata in (operator, admin)]
        fourth = the_refused(others)
        assert error_of(channel, INGEST, admin, request=b"") is None
        for call in (*bots, *others):
            call.cancel()
        time.sleep(1)
        after = idle_stream(channel, SUBSCRIBE, bot)
        time.sleep(1)
        assert not after.done()
        after.cancel()

    for error, subject, setting, limit in (
        (third, "token bot", "server.client_streams", 2),
        (fourth, "the server", "server.max_streams", 3),
    ):
        told = details(error)
        assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
        assert (told.quota.subject, told.quota.quota_id, told.quota.quota_value) == (subject, setting, limit)
        assert told.retry_seconds == 5


def the_refused(calls: list[Any]) -> grpc.RpcError:
    """The error of the one call that is refused, whichever it is: nobody knows in which order they arrive."""
    until = time.monotonic() + 20
    while not any(call.done() for call in calls):
        assert time.monotonic() < until, "none was refused"
        time.sleep(0.05)
    time.sleep(0.5)
    [refused] = [call for call in calls if call.done()]
    return until_error(refused)[1]


def test_a_broken_file_locks_nobody_out(own: Guarded) -> None:
    """While the file is unusable, what it held before counts, and the log says so once."""
    own.keys.folder.tokens.write_text("{")
    with own.keys.channel(own.process) as channel:
        assert answered(channel, STATS, own.as_(Role.ADMIN))
        assert answered(channel, STATS, own.as_(Role.ADMIN))

    problems = [line["problem"] for line in own.process.log() if line["event"] == "tokens_unusable"]
    assert len(problems) == 1
    assert "tokens.json: unusable at the whole file" in problems[0]


def test_calls_are_logged_by_name_and_tokens_nowhere(own: Guarded, tmp_path: Path) -> None:
    """The log has name and role of each call's token; no token, known or not, is in any file."""
    stranger = "becas_ft_" + "k" * 43
    with own.keys.channel(own.process) as channel:
        for role in (Role.ADMIN, Role.BOT):
            error_of(channel, FORGET, own.as_(role))
        error = error_of(channel, FORGET, bearer(stranger))
        # In a place where it does not belong, too.
        error_of(channel, FORGET, own.as_(Role.ADMIN), request=own.keys.secrets[Role.ADMIN].encode())
    own.process.stop()

    calls = [line for line in own.process.log() if line["event"] == "rpc"]
    assert [(line["method"], line.get("token"), line.get("role"), line["code"]) for line in calls[:3]] == [
        (FORGET, "admin", "admin", "INVALID_ARGUMENT"),
        (FORGET, "bot", "bot", "PERMISSION_DENIED"),
        (FORGET, None, None, "UNAUTHENTICATED"),
    ]
    secrets = [stranger, *own.keys.secrets.values()]
    assert not any(secret in str(error) for secret in secrets)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret.removeprefix("becas_ft_").encode() in data for secret in secrets), path


def test_streams_are_logged_by_name(own: Guarded) -> None:
    """A call that lasts is known by its token too."""
    with own.keys.channel(own.process) as channel:
        stub = event_service_pb2_grpc.EventServiceStub(channel)
        watch = stub.Subscribe(published_event_pb2.SubscribeRequest(), timeout=1, metadata=own.as_(Role.LABELLER))
        with pytest.raises(grpc.RpcError):
            list(watch)
    own.process.stop()

    [line] = [line for line in own.process.log() if line.get("method") == SUBSCRIBE]
    assert (line["token"], line["role"]) == ("labeller", "labeller")


def test_the_audit_log_names_the_token() -> None:
    """Beside what the caller calls himself stands the name of the token; no caller can leave it out."""
    token = tokens.issue("dana-laptop", Role.OPERATOR).token

    def with_token() -> str:
        access._caller.set(token)
        return access.signed("dana")

    assert access.signed("dana") == "dana"
    assert copy_context().run(with_token) == "dana (token dana-laptop)"


def test_loopback_is_open_unless_told_otherwise(start_server: ServerStarter, data_dir: Path) -> None:
    """Without require_tokens a server on loopback asks for none; a token that is sent still gives the call a name."""
    made = keys(data_dir / "access")
    server = start_server()
    with server.channel() as channel:
        assert answered(channel, FORGET)
        assert answered(channel, FORGET, bearer("becas_ft_unknown"))
        assert answered(channel, FORGET, bearer(made.secrets[Role.BOT]))
    server.stop()

    calls = [line for line in server.log() if line["event"] == "rpc"]
    assert [line.get("token") for line in calls] == [None, None, "bot"]


def test_tokens_without_tls_on_loopback(start_server: ServerStarter, data_dir: Path) -> None:
    """On this machine tokens can be required without TLS."""
    made = keys(data_dir / "access")
    server = start_server(BECAS_FT_SERVER__REQUIRE_TOKENS="true")
    with server.channel() as channel:
        assert not answered(channel, STATS)
        assert answered(channel, STATS, bearer(made.secrets[Role.LABELLER]))


def test_too_many_calls(start_server: ServerStarter, data_dir: Path) -> None:
    """Who calls too often is told when to come again, and slows no other token."""
    made = keys(data_dir / "access")
    server = start_server(**made.settings(), BECAS_FT_SERVER__CLIENT_REQUESTS_PER_SECOND="2")
    with made.channel(server) as channel:
        bot, operator = (bearer(made.secrets[role]) for role in (Role.BOT, Role.OPERATOR))
        errors = [error_of(channel, INGEST, bot, request=b"") for _ in range(5)]
        refused = [error for error in errors if error is not None]

        assert errors[:2] == [None, None]
        assert refused
        told = details(refused[-1])
        assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert told.retry_seconds is not None
        assert 0 < told.retry_seconds <= 0.5
        assert told.quota.subject == "token bot"
        assert (told.quota.quota_id, told.quota.quota_value) == ("server.client_requests_per_second", 2)
        assert error_of(channel, INGEST, operator, request=b"") is None
        time.sleep(told.retry_seconds)
        assert error_of(channel, INGEST, bot, request=b"") is None


def test_too_many_bytes(start_server: ServerStarter) -> None:
    """Bytes are counted by address where there is no token; a stream waits for its time, and is not refused."""
    server = start_server(BECAS_FT_SERVER__CLIENT_BYTES_PER_SECOND="2000")
    batch = events.request([events.scam_message(f"large-{number}", number) for number in range(20)])
    size = batch.ByteSize()
    assert size > 2500
    with server.channel() as channel, server.channel(use_local_subchannel_pool=1) as other:
        call = raw_unary(channel, INGEST)
        assert call(batch.SerializeToString(), timeout=30)
        with pytest.raises(grpc.RpcError) as caught:
            raw_unary(other, INGEST)(batch.SerializeToString(), timeout=30)
        told = details(caught.value)
        assert told.reason == "RATE_LIMITED"
        assert told.quota.subject == "this address"
        assert (told.quota.quota_id, told.quota.quota_value) == ("server.client_bytes_per_second", 2000)
        assert "127.0.0.1" not in told.message

        started = time.monotonic()
        stream = raw_stream(channel, "/becas.ft.v1.IngestService/IngestStream")
        answers = list(stream(iter([batch.SerializeToString()] * 2), timeout=60))

        assert len(answers) == 2
        # The first waits for the call before, the second for the first.
        assert time.monotonic() - started > 2 * size / 2000 - 1.5


def test_erasures_are_audited(own: Guarded) -> None:
    """Forget and SetConsent stand in the audit log with the token that asked, and without the one they were about."""
    member, guild = "700000000000000123", "800000000000000123"
    with own.keys.channel(own.process) as channel:
        dataset = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        metadata = own.as_(Role.ADMIN)
        dataset.Forget(dataset_pb2.ForgetRequest(user_id=member), timeout=60, metadata=metadata)
        for granted in (False, True):
            consent = dataset_pb2.SetConsentRequest(guild_id=guild, granted=granted)
            dataset.SetConsent(consent, timeout=60, metadata=metadata)
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        log = list(models.ListAudit(model_pb2.ListAuditRequest(), timeout=30, metadata=metadata).entries)

    assert [(entry.action, entry.actor, entry.reason) for entry in log] == [
        ("forget", "operator (token admin)", "0 examples and 0 other records of a member erased"),
        ("consent", "operator (token admin)", "withdrawn: 0 examples of a guild erased"),
        ("consent", "operator (token admin)", "granted"),
    ]
    assert all(entry.time.seconds > 1_700_000_000 for entry in log)
    assert audit.broken_links(log) == []
    assert not any(raw in str(log) for raw in (member, guild))
