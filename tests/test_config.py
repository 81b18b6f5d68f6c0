"""The configuration: one documented file of defaults, and every way to change them."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from becas_ft.addresses import is_loopback
from becas_ft.config import DEFAULT_TOML, Config, load
from becas_ft.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that runs the tests."""
    for name in list(os.environ):
        if name.startswith("BECAS_FT_"):
            monkeypatch.delenv(name)


def test_shipped_file_says_what_the_code_does() -> None:
    """Every default stands in default.toml, with the value that the code has."""
    shipped = tomllib.loads(DEFAULT_TOML.read_text(encoding="utf-8"))

    assert load(DEFAULT_TOML) == Config()
    assert shipped.keys() == Config.model_fields.keys()
    for name, section in Config():
        assert shipped[name].keys() == dict(section).keys(), name


def test_core_has_the_same_defaults() -> None:
    """The Rust core's own defaults, read from its source, are those of default.toml."""
    source = (ROOT / "rust/becas-core/src/config.rs").read_text()
    config = Config()
    for section, name in ((config.scoring, "Scoring"), (config.store, "Store"), (config.limits, "Limits")):
        body = re.search(rf"impl Default for {name} \{{.*?Self \{{(.*?)\}}\n", source, re.DOTALL)
        assert body is not None
        found = dict(re.findall(r"(\w+): ([\d_. <]+|true|false)\s*[,}]", body[1] + ","))

        assert found
        for key, text in found.items():
            assert getattr(section, key) == _rust(text), key


def _rust(text: str) -> float | bool:
    if text in {"true", "false"}:
        return text == "true"
    number, _, shift = text.replace("_", "").partition("<<")
    return float(number) * (1 << int(shift or 0))


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults, file, environment, command line: the later wins, key by key."""
    file = tmp_path / "becas.toml"
    file.write_text('[store]\ncapacity = 11\nmap_size = "1 MiB"\nidempotency_days = 3\n')
    monkeypatch.setenv("BECAS_FT_CONFIG", str(file))
    monkeypatch.setenv("BECAS_FT_STORE__CAPACITY", "12")
    monkeypatch.setenv("BECAS_FT_STORE__IDEMPOTENCY_DAYS", "4")
    monkeypatch.setenv("BECAS_FT_STORE__RETENTION_DAYS__SCAM_DETECTION", "30")
    monkeypatch.setenv("BECAS_FT_PROMOTION__AUTO_PROMOTE", "true")

    config = load(overrides={"store": {"capacity": 13}})

    assert (config.store.capacity, config.store.map_size, config.store.idempotency_days) == (13, 1 << 20, 4)
    assert config.store.retention_days == {"scam_detection": 30}
    assert config.promotion.auto_promote is True
    assert config.limits == Config().limits


def test_address_of_the_server_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """BECAS_FT_SERVER tells commands where to call; it does not meet the section of that name."""
    monkeypatch.setenv("BECAS_FT_SERVER", "127.0.0.1:1")

    assert load() == Config()


def test_all_problems_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mends a configuration sees everything that is wrong with it, by name."""
    file = tmp_path / "becas.toml"
    file.write_text(
        "[store]\ncapacity = 0\ncapcity = 5\n[scoring]\nbronze = 9_500\n[shadow]\nsample_rate = 2\n"
        '[server]\nlisten = "50051"\ndashboard = "unix:/tmp/x"\n[store.retention_days]\nscams = 3\n[nonsense]\nx = 1\n'
    )
    monkeypatch.setenv("BECAS_FT_LOG__LEVEL", "loud")

    with pytest.raises(ConfigurationError) as caught:
        load(file)

    for problem in (
        "store.capacity: Input should be greater than or equal to 1",
        "store.capcity: there is no such setting",
        "scoring: bronze ≤ silver ≤ gold must hold",
        "shadow.sample_rate: Input should be less than or equal to 1",
        "store.retention_days: no such category: scams",
        "nonsense: there is no such setting",
    ):
        assert problem in caught.value.problems
    for start in ("server.listen: write HOST:PORT", "server.dashboard: HTTP needs a host and a port"):
        assert any(problem.startswith(start) for problem in caught.value.problems)
    assert any(problem.startswith("log.level: ") for problem in caught.value.problems)


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1:0", "localhost:50051", "[::1]:50051", "unix:/tmp/becas.sock"],
)
def test_this_machine_may_be_listened_on(text: str) -> None:
    """Loopback and sockets need neither TLS nor tokens."""
    assert is_loopback(load(overrides={"server": {"listen": text}}).server.listen)


@pytest.mark.parametrize("text", ["0.0.0.0:50051", "[::]:50051", "192.0.2.7:50051", "becas.example:50051"])
def test_other_addresses_are_not_this_machine(text: str) -> None:
    """What others can reach is told apart: the server wants TLS and tokens there."""
    server = load(overrides={"server": {"listen": text, "dashboard": text}}).server

    assert not is_loopback(server.listen)
    assert not is_loopback(server.dashboard)


def test_auto_is_a_setting_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auto and a value can be written; anything else is a problem by the setting's own name."""
    monkeypatch.setenv("BECAS_FT_SERVER__REQUIRE_TOKENS", "auto")
    monkeypatch.setenv("BECAS_FT_SERVER__CLIENT_REQUESTS_PER_SECOND", "0")
    server = load().server
    assert (server.require_tokens, server.client_requests_per_second) == (None, 0)

    for name in ("REQUIRE_TOKENS", "CLIENT_REQUESTS_PER_SECOND", "CLIENT_BYTES_PER_SECOND"):
        monkeypatch.setenv(f"BECAS_FT_SERVER__{name}", "-x")
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "server.require_tokens",
        "server.client_requests_per_second",
        "server.client_bytes_per_second",
    ]


@pytest.mark.parametrize("text", ["50051", "127.0.0.1", ":50051", "127.0.0.1:70000", "127.0.0.1:http"])
def test_addresses_are_host_and_port(text: str) -> None:
    """Anything else is a problem that shows the form."""
    with pytest.raises(ConfigurationError, match=r"server\.listen: write HOST:PORT"):
        load(overrides={"server": {"listen": text}})


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A missing file, or one that is not TOML, is a readable error."""
    broken = tmp_path / "broken.toml"
    broken.write_text("[store\n")

    with pytest.raises(ConfigurationError, match=r"missing\.toml: No such file"):
        load(tmp_path / "missing.toml")
    with pytest.raises(ConfigurationError, match=r"broken\.toml: not TOML: .*line 1"):
        load(broken)


def test_configuration_is_frozen() -> None:
    """What was checked cannot change afterwards."""
    config = Config()

    with pytest.raises(ValidationError):
        config.store.capacity = 1


def test_steps_of_a_canary_ascend_below_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment they are a list with commas."""
    monkeypatch.setenv("BECAS_FT_PROMOTION__CANARY_STEPS", "2, 10")
    assert load().promotion.canary_steps == (2, 10)

    for steps, problem in (([], "at least one"), ([5, 5], "each over the one before"), ([0, 5], "greater than 0")):
        with pytest.raises(ConfigurationError, match=rf"promotion\.canary_steps.*{problem}"):
            load(overrides={"promotion": {"canary_steps": steps}})
    with pytest.raises(ConfigurationError, match=r"promotion\.canary_steps\.1: .*less than 100"):
        load(overrides={"promotion": {"canary_steps": [50, 100]}})


def test_event_that_cannot_arrive_is_a_problem() -> None:
    """An event limit above the message limit would never be reached."""
    with pytest.raises(ConfigurationError, match=r"limits\.event_bytes: at most server.max_message_bytes"):
        load(overrides={"limits": {"event_bytes": "8 MiB"}})
