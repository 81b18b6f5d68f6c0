"""The commands against a real server, with invented events."""

import gzip
import hashlib
import itertools
import json
import subprocess
import time
from pathlib import Path

import pytest

from helpers import canaries, events
from helpers.server import COMMAND, CommandLine, ServerProcess, environment


@pytest.fixture
def event_file(inputs: Path) -> Path:
    """Eight hundred scam events, one of them twice, two bronze, a rejected one, and four that are none."""
    scams = [events.scam(number) for number in range(800)]
    parts = [
        events.lines(scams[:400]),
        "this is not JSON\n",
        "\n",
        json.dumps({"eventName": "moon.phase", "metadata": {"eventId": "evt-unknown"}, "payload": {}}) + "\n",
        events.lines(scams[400:]),
        events.lines(
            [events.scam(5), events.language(1), events.scam(9001, gold=False), events.scam(9002, gold=False)]
        ),
        json.dumps({"eventName": "scam.detected", "metadata": {"eventId": "evt-empty"}, "payload": {}}) + "\n",
    ]
    path = inputs / "events.jsonl.gz"
    path.write_bytes(gzip.compress("".join(parts).encode() + b'{"broken": "\xff"}\n'))
    return path


def test_import_writes_a_receipt_for_each_event(cli: CommandLine, event_file: Path, inputs: Path) -> None:
    """A line an event, in the order of the file, also for lines that are none; the summary counts them."""
    out = inputs / "receipts.jsonl"

    done = cli("import", event_file, "--receipts", out, "--json")

    receipts = [json.loads(line) for line in out.read_text().splitlines()]
    ids = [f"evt-scam-{number}" for number in range(800)]
    expected = [*ids[:400], "", "evt-unknown", *ids[400:], "evt-scam-5", "evt-language-1", "evt-scam-9001"]
    assert done.code == 0
    assert [receipt["eventId"] for receipt in receipts] == [*expected, "evt-scam-9002", "evt-empty", ""]
    by_id = {receipt["eventId"]: receipt for receipt in receipts if receipt["eventId"] != "evt-scam-5"}
    assert by_id["evt-scam-7"] == {
        "eventId": "evt-scam-7",
        "status": "ACCEPTED",
        "category": "scam_detection",
        "tier": "gold",
        "score": 0.915,
        "reasons": [],
    }
    assert (by_id["evt-scam-9001"]["tier"], by_id["evt-scam-9001"]["score"]) == ("bronze", 0.615)
    rejected = by_id["evt-language-1"]
    assert (rejected["status"], rejected["category"], rejected["tier"]) == (
        "REJECTED",
        "language_detection",
        "reject",
    )
    for invalid in ("evt-unknown", "evt-empty"):
        receipt = by_id[invalid]
        assert receipt["status"] == "INVALID"
        assert (receipt["category"], receipt["tier"], receipt["score"]) == (None, None, None)
        assert receipt["reasons"]
    twice = [receipt["status"] for receipt in receipts if receipt["eventId"] == "evt-scam-5"]
    assert twice == ["ACCEPTED", "DUPLICATE"]
    assert '"score":0.9150,' in out.read_text().splitlines()[0]
    summary = done.json()
    counted = {status: summary[status] for status in ("accepted", "duplicate", "rejected", "invalid", "refused")}
    assert counted == {"accepted": 802, "duplicate": 1, "rejected": 1, "invalid": 4, "refused": 0}
    assert summary["events"] == 808


def test_second_import_changes_nothing(cli: CommandLine, event_file: Path) -> None:
    """After a second import the statistics are byte for byte what they were."""
    cli("import", event_file)
    before = cli("stats", "--json").stdout

    second = cli("import", event_file, "--json").json()

    assert cli("stats", "--json").stdout == before
    assert (second["accepted"], second["duplicate"]) == (0, 804)


def test_import_plain_file_and_table(cli: CommandLine, inputs: Path) -> None:
    """A file without gzip works, and without --json a person reads a table."""
    path = inputs / "events.jsonl"
    path.write_text(events.lines(events.scam(number) for number in range(3)))

    done = cli("import", path)

    assert done.code == 0
    assert next(line.split() for line in done.stdout.splitlines() if "ACCEPTED" in line)[-2] == "3"


def test_import_of_a_damaged_file(cli: CommandLine, inputs: Path) -> None:
    """A file that is cut off is an error that says so, and no receipts file appears."""
    whole = gzip.compress(events.lines(events.scam(number) for number in range(500)).encode())
    (inputs / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])

    done = cli("import", inputs / "cut.jsonl.gz", "--receipts", inputs / "receipts.jsonl")

    assert done.code == 1
    assert "damaged or cut off" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in inputs.iterdir()) == ["cut.jsonl.gz"]


def test_import_of_long_lines(cli: CommandLine, inputs: Path) -> None:
    """A line far beyond any event is INVALID, and its neighbours are taken."""
    path = inputs / "long.jsonl"
    huge = json.dumps(
        {
            "eventName": "custom.example",
            "metadata": {"eventId": "huge"},
            "payload": {"input": "x" * (9 << 20)},
        }
    )
    path.write_text(events.lines([events.scam(1)]) + huge + "\n" + events.lines([events.scam(2)]))

    done = cli("import", path, "--receipts", inputs / "out.jsonl", "--json")

    receipts = [json.loads(line) for line in (inputs / "out.jsonl").read_text().splitlines()]
    assert done.code == 0
    assert [receipt["status"] for receipt in receipts] == ["ACCEPTED", "INVALID", "ACCEPTED"]
    assert receipts[1]["reasons"][0].startswith("LINE_TOO_LONG: ")


def test_stats(cli: CommandLine, event_file: Path) -> None:
    """The table and the object show the same numbers."""
    cli("import", event_file)

    table, found = cli("stats").stdout, cli("stats", "--json").json()

    scam = next(row for row in found["categories"] if row["category"] == "scam_detection")
    assert (scam["total"], scam["tiers"]) == (802, {"gold": 800, "silver": 0, "bronze": 2})
    assert len(found["categories"]) == 14
    row = next(line.split() for line in table.splitlines() if "scam_detection" in line)
    assert row[:5] == ["scam_detection", "802", "800", "0", "2"]
    assert float(row[5]) == pytest.approx((800 * 0.915 + 2 * 0.615) / 802, abs=5e-5)


def test_export_writes_a_folder(cli: CommandLine, event_file: Path, tmp_path: Path) -> None:
    """Data, ids and manifest stand in the folder; the same request gives the same bytes, in equal groups."""
    cli("import", event_file)
    first, second = tmp_path / "one" / "set", tmp_path / "two"

    done = cli("export", "--category", "scam_detection", "--out", first, "--seed", "7", "--json")
    cli("export", "--category", "scam_detection", "--out", second, "--seed", "7")

    manifest = json.loads((first / "manifest.json").read_text())
    data = (first / "data.jsonl").read_bytes()
    ids = (first / "example_ids.txt").read_text().splitlines()
    assert done.code == 0
    assert done.json() == manifest
    assert sorted(path.name for path in first.iterdir()) == ["data.jsonl", "example_ids.txt", "manifest.json"]
    assert len(data.splitlines()) == len(set(ids)) == manifest["examples"]
    assert manifest["by_label"]["true"] == manifest["by_label"]["false"]
    assert manifest["data_bytes"] == len(data)
    assert manifest["request"]["category"] == "scam_detection"
    assert hashlib.sha256(data).digest() == hashlib.sha256((second / "data.jsonl").read_bytes()).digest()
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_export_takes_every_option(cli: CommandLine, event_file: Path, tmp_path: Path) -> None:
    """Each field of the request can be given, and comes back in the manifest, the guild as a pseudonym."""
    cli("import", event_file)
    options = {
        "--category": "scam_detection",
        "--name": "my-set",
        "--min-tier": "silver",
        "--min-quality": "0.8",
        "--max-examples": "40",
        "--balance-by": "outcome",
        "--min-group": "1",
        "--seed": "18446744073709551615",
        "--guild-id": "800000000000000003",
        "--since": "2026-09-01",
        "--until": "2026-09-20T00:00:00",
        "--format": "jsonl",
        "--outcome": "success",
        "--max-user-share": "0.5",
        "--max-guild-share": "1",
        "--quarantine-from": "100",
    }

    done = cli(
        "export", "--no-balance", "--include-superseded", *itertools.chain(*options.items()),
        "--out", tmp_path / "set", "--json",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    request = done.json()["request"]
    guild = request.pop("guild_id")
    assert request == {
        "name": "my-set",
        "category": "scam_detection",
        "model_target": None,
        "min_tier": "silver",
        "min_quality": 0.8,
        "max_examples": 40,
        "balance": False,
        "balance_by": "outcome",
        "min_group": 1,
        "seed": 18446744073709551615,
        "since": "2026-09-01T00:00:00Z",
        "until": "2026-09-20T00:00:00Z",
        "format": "jsonl",
        "include_superseded": True,
        "outcomes": ["success"],
        "max_user_share": 0.5,
        "max_guild_share": 1.0,
        "quarantine_from": 100,
    }
    assert len(guild) == 32
    assert "800000000000000003" not in done.stdout
    assert 0 < done.json()["examples"] <= 40


def test_export_does_not_overwrite(cli: CommandLine, event_file: Path, tmp_path: Path) -> None:
    """A folder that holds something is left alone, or with --force replaced whole."""
    cli("import", event_file)
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "precious.txt").write_text("mine")

    refused = cli("export", "--category", "scam_detection", "--out", folder)
    forced_after = sorted(path.name for path in folder.iterdir())
    forced = cli("export", "--category", "scam_detection", "--out", folder, "--force")

    assert (refused.code, forced.code) == (1, 0)
    assert "--force" in refused.stderr
    assert forced_after == ["precious.txt"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "data.jsonl",
        "example_ids.txt",
        "manifest.json",
    ]


def test_failed_export_leaves_nothing(cli: CommandLine, tmp_path: Path) -> None:
    """An export that the server refuses leaves neither a folder nor a part of one, and names the field."""
    done = cli("export", "--out", tmp_path / "set", "--name", "no/such name")

    assert done.code == 1
    assert "INVALID_ARGUMENT" in done.stderr
    assert "name: " in done.stderr
    assert "request: " in done.stderr
    assert not (tmp_path / "set").exists()
    assert list(tmp_path.glob(".set*")) == []


def test_forget_and_consent(cli: CommandLine, event_file: Path) -> None:
    """A member is forgotten by argument or standard input; a guild's consent is withdrawn and granted."""
    cli("import", event_file)

    forgotten = cli("forget", "700000000000000010", "--json").json()
    piped = cli("forget", "-", "--json", stdin=b"700000000000000011\n").json()
    withdrawn = cli("consent", "800000000000000003", "withdraw", "--json").json()
    granted = cli("consent", "800000000000000003", "grant")

    assert forgotten == {
        "examples": 1,
        "other_records": forgotten["other_records"],
        "datasets": [],
        "models": [],
    }
    assert piped["examples"] == 1
    # Numbers 10 (guild 3) is gone already; 3, 17, 24 … 794 and the bronze 9002 (guild 0) stay out of it.
    assert withdrawn["examples"] == len(
        [number for number in [*range(800), 9001, 9002] if number % 7 == 3 and number != 10]
    )
    assert granted.code == 0


def test_server_that_is_not_there(offline_cli: CommandLine, inputs: Path) -> None:
    """Without a server every command says how to start one, and the exit code is 3."""
    (inputs / "one.jsonl").write_text(events.lines([events.scam(1)]))
    for arguments in (
        ("stats",),
        ("forget", "1"),
        ("consent", "1", "grant"),
        ("import", str(inputs / "one.jsonl")),
        ("export", "--out", str(inputs / "set")),
    ):
        done = offline_cli(*arguments, "--server", "127.0.0.1:1")

        assert done.code == 3, arguments
        assert done.stdout == ""
        assert "no server answers at 127.0.0.1:1: start one with `becas-ft serve`" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export",), "--out"),
        (("export", "--out", "x", "--category", "scams"), "one of: violation_detection"),
        (("export", "--out", "x", "--min-quality", "2"), "--min-quality"),
        (("consent", "1", "maybe"), "maybe"),
        (("nonsense",), "nonsense"),
        (("verify", "--data-dir", "nowhere"), "holds no store"),
    ],
)
def test_wrong_usage(offline_cli: CommandLine, arguments: tuple[str, ...], words: str) -> None:
    """Wrong usage names the mistake, and the exit code is 2."""
    done = offline_cli(*arguments)

    assert done.code == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_file(offline_cli: CommandLine, inputs: Path) -> None:
    """A file that is not there is named."""
    done = offline_cli("import", inputs / "missing.jsonl", "--server", "127.0.0.1:1")

    assert done.code == 1
    assert "missing.jsonl: No such file or directory" in done.stderr


def test_redact_filters_line_by_line(offline_cli: CommandLine) -> None:
    """Personal data become placeholders; line ends and everything else stay; no server is needed."""
    mail = canaries.SECRETS["e-mail"]

    done = offline_cli("redact", stdin=f"hello é {mail}\r\nplain\n\nno end {mail}".encode())

    assert done.stdout == "hello é [EMAIL]\r\nplain\n\nno end [EMAIL]"


def test_redact_spans_are_code_points(offline_cli: CommandLine) -> None:
    """With --json each line is an object whose spans count code points of the input."""
    mail = canaries.SECRETS["e-mail"]

    done = offline_cli("redact", "--json", stdin=f"𝄞é {mail} x\nplain\n".encode())

    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first == {"text": "𝄞é [EMAIL] x", "spans": [{"start": 3, "end": 3 + len(mail), "type": "EMAIL"}]}
    assert second == {"text": "plain", "spans": []}


def test_redact_answers_at_once(offline_cli: CommandLine) -> None:
    """In a pipe each line comes out before the next one goes in."""
    del offline_cli
    process = subprocess.Popen([COMMAND, "redact"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for number in range(3):
            process.stdin.write(f"line {number}\n".encode())
            process.stdin.flush()
            assert process.stdout.readline() == f"line {number}\n".encode()
    finally:
        process.stdin.close()
        process.stdout.close()
        assert process.wait(30) == 0


def test_verify(cli: CommandLine, server: ServerProcess, event_file: Path, data_dir: Path) -> None:
    """A store that was served and stopped is sound; while it is served, verify says who has it."""
    cli("import", event_file)
    busy = cli("verify", "--data-dir", data_dir)
    server.stop()

    done = cli("verify", "--data-dir", data_dir, "--json")

    assert busy.code == 1
    assert "already open" in busy.stdout
    assert (done.code, done.json()) == (0, {"problems": []})


def test_secrets_through_the_command_line(
    cli: CommandLine, inputs: Path, tmp_path: Path, server: ServerProcess
) -> None:
    """Bots' JSON with secrets: receipts echo the event id, and nothing else shows any of them.

    The search itself is the fixture that runs after every test.
    """
    event = events.scam(1)
    event["metadata"] |= {
        "eventId": canaries.EVENT_PREFIX,
        "userId": canaries.USER,
        "guildId": canaries.GUILD,
        "correlationId": canaries.CORRELATION,
    }
    event["payload"]["text"] = canaries.TEXT
    event["payload"]["analysis"]["reasoning"] = canaries.TEXT
    broken = json.loads(json.dumps(event))
    broken["metadata"]["eventId"] += "-broken"
    broken["payload"]["analysis"]["confidence"] = canaries.TEXT
    (inputs / "secret.jsonl").write_text(events.lines([event, broken]) + '{"text": "' + canaries.TEXT + "\n")

    done = cli("import", inputs / "secret.jsonl", "--receipts", inputs / "out.jsonl")
    exported = cli("export", "--no-balance", "--out", tmp_path / "set", "--guild-id", canaries.GUILD)

    receipts = [json.loads(line) for line in (inputs / "out.jsonl").read_text().splitlines()]
    assert (done.code, exported.code) == (0, 0)
    assert [receipt["status"] for receipt in receipts] == ["ACCEPTED", "INVALID", "INVALID"]
    assert canaries.found_in(json.dumps([receipt["reasons"] for receipt in receipts]).encode()) == []
    assert (tmp_path / "set" / "data.jsonl").read_text().count("[EMAIL]") > 0
    server.stop()


def test_help_is_quick(offline_cli: CommandLine) -> None:
    """Asking for help imports neither gRPC nor protobuf nor pydantic, and lists every command."""
    done = offline_cli("--help")
    loaded = subprocess.run(
        [
            COMMAND.with_name("python"),
            "-c",
            "import sys, becas_ft.cli; print({'grpc', 'google.protobuf', 'pydantic'} & sys.modules.keys())",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.code == 0
    for command in ("serve", "import", "export", "stats", "forget", "consent", "redact", "verify"):
        assert f" {command} " in done.stdout
    assert loaded.stdout.strip() == "set()"


def test_version(offline_cli: CommandLine) -> None:
    """The version is one word after the name."""
    started = time.monotonic()

    done = offline_cli("--version")

    assert done.code == 0
    assert done.stdout.startswith("becas-ft ")
    assert time.monotonic() - started < 10
