"""The small bots in Go and Node, run as their authors would, against a real server."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from helpers.access import keys
from helpers.gate import Gate
from helpers.programs import Program
from helpers.server import ServerProcess, ServerStarter, environment

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"
BOT_SECONDS: Final = 60
PACE_SECONDS: Final = 0.6
AWAY_SECONDS: Final = 1.0

# Points by the table of factors: .35 × confidence, .15 detailed reasoning, .15 clear outcome, .20 human validation,
# .10 retrieved precedents, .10 contextual data, .10 edge case.
SCAM: Final = ("scam_detection", "gold", 0.9395)  # .3395 + .15 + .15 + .20 + .10
LANGUAGE: Final = ("language_detection", "reject", 0.4965)  # .3465 + .15
TOOL: Final = ("tool_selection", "bronze", 0.6)  # .35 + .15 + .10
INTENT: Final = ("intent_classification", "bronze", 0.722)  # .322 + .15 + .15 + .10
NONE: Final = ("", "", 0.0)
CORRECTION: Final = ("human_correction", "gold", 0.95)  # .35 + .15 + .15 + .20 + .10
RECEIPTS: Final = [
    ("scam-1001", "ACCEPTED", *SCAM),
    ("language-1002", "REJECTED", *LANGUAGE),
    ("tool-1003", "ACCEPTED", *TOOL),
    ("intent-1004", "ACCEPTED", *INTENT),
    ("violation-1005", "INVALID", *NONE),
    ("scam-1001", "DUPLICATE", *SCAM),
    ("correction-1006", "ACCEPTED", *CORRECTION),
]


@dataclass(frozen=True)
class Bot(Program):
    """One language's bot."""

    def start(self, server: str, pace: float = 0.0, **more: str) -> "subprocess.Popen[str]":
        """The running bot."""
        variables = environment(BECAS_FT_SERVER=server, BOT_PACE_SECONDS=str(pace), **more)
        return subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


BOTS: Final = {
    "go": Bot(EXAMPLES / "go", "go", (("./generate.sh",), ("go", "build", "-o", "build/bot", ".")), ("build/bot",)),
    "node": Bot(EXAMPLES / "node", "npm", (("npm", "ci", "--no-audit", "--no-fund"),), ("node", "bot.mjs")),
}


@pytest.fixture(scope="module", params=BOTS)
def bot(request: pytest.FixtureRequest) -> Bot:
    """Each bot, built as its README says."""
    made = BOTS[request.param]
    made.make()
    return made


@pytest.fixture
def wait_for_end() -> Callable[["subprocess.Popen[str]"], tuple[list[dict[str, Any]], str]]:
    """Waits for a bot to end well; the receipts that it printed, and what it said on standard error."""

    def wait(process: "subprocess.Popen[str]") -> tuple[list[dict[str, Any]], str]:
        try:
            stdout, stderr = process.communicate(timeout=BOT_SECONDS)
        finally:
            process.kill()
        assert process.returncode == 0, stderr
        return [json.loads(line) for line in stdout.splitlines()], stderr

    return wait


WaitForEnd = Callable[["subprocess.Popen[str]"], tuple[list[dict[str, Any]], str]]


def brief(receipts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(line[key] for key in ("eventId", "status", "category", "tier", "score")) for line in receipts]


def test_receipts(bot: Bot, server: ServerProcess, wait_for_end: WaitForEnd) -> None:
    """A bot prints a receipt for each event, in order, and names its own bug; a second run changes nothing."""
    receipts, stderr = wait_for_end(bot.start(server.address))

    assert brief(receipts) == RECEIPTS
    assert [receipts[index]["reasons"] for index in (0, 2)] == [[], []]
    assert "SCORE_BELOW_BRONZE" in receipts[1]["reasons"]
    (reason,) = receipts[4]["reasons"]
    assert reason.startswith("OUT_OF_RANGE: violation_detected.confidence: ")
    assert f"violation-1005: {reason}" in stderr

    again, _ = wait_for_end(bot.start(server.address))

    assert [line["status"] for line in again] == ["DUPLICATE"] * 4 + ["INVALID"] + ["DUPLICATE"] * 2
    assert [row[2:] for row in brief(again)] == [row[2:] for row in RECEIPTS]


def test_guarded_server(
    bot: Bot, start_server: ServerStarter, data_dir: Path, inputs: Path, wait_for_end: WaitForEnd
) -> None:
    """With an authority and a token a bot publishes to a server that wants both; without a token it is told so."""
    made = keys(data_dir / "access")
    server = start_server(**made.settings())
    token = inputs / "token"
    token.write_text(f"{made.secrets['bot']}\n")
    authority = str(made.folder.ca)

    receipts, _ = wait_for_end(bot.start(server.address, BECAS_FT_CA=authority, BECAS_FT_TOKEN_FILE=str(token)))
    refused = bot.start(server.address, BECAS_FT_CA=authority)
    _, stderr = refused.communicate(timeout=BOT_SECONDS)

    assert brief(receipts) == RECEIPTS
    assert refused.returncode != 0
    assert "needs a token" in stderr


def test_server_away(bot: Bot, server: ServerProcess, wait_for_end: WaitForEnd) -> None:
    """A bot that cannot reach the server at first, and loses it later, gets a receipt for each event all the same."""
    with Gate(server.address) as gate:
        process = bot.start(gate.address, PACE_SECONDS)
        time.sleep(AWAY_SECONDS)
        gate.open()
        assert process.stdout is not None
        # The second receipt comes through the stream, so it is open when the connection breaks.
        begun = [json.loads(process.stdout.readline()) for _ in range(2)]
        gate.cut()
        rest, _ = wait_for_end(process)

    receipts = brief(begun + rest)
    assert [row[:1] + row[2:] for row in receipts] == [row[:1] + row[2:] for row in RECEIPTS]
    # Where an answer was lost, its event was on disk already.
    changed = [(row[1], expected[1]) for row, expected in zip(receipts, RECEIPTS, strict=True) if row != expected]
    assert set(changed) <= {("DUPLICATE", "ACCEPTED"), ("DUPLICATE", "REJECTED")}


def test_server_restarts(bot: Bot, start_server: ServerStarter, wait_for_end: WaitForEnd) -> None:
    """A bot whose server drains and comes back opens another stream, and every event gets its receipt."""
    first = start_server()
    process = bot.start(first.address, PACE_SECONDS)
    assert process.stdout is not None
    begun = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert first.stop() == 0
    start_server("--listen", first.address)
    rest, _ = wait_for_end(process)

    assert brief(begun + rest) == RECEIPTS
