"""One flipped bit anywhere in a data file: an error, a contained crash, or nothing; never other data, never unnamed."""

import json
from pathlib import Path

import pytest

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import model_pb2, shadow_pb2, training_pb2
from becas_ft._core import Core
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import JOBS, MODELS, PAIRS, REQUESTS, TRIALS
from becas_ft.rollout import audit
from becas_ft.shadow.truth import OUTBOX_CURSOR
from helpers import events, flips
from helpers.flips import Reading

SEED = 20261126
FLIPS = [100, pytest.param(2_000, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dense data file with records in every table, and its key."""
    folder = tmp_path_factory.mktemp("examples")
    core = Core(str(folder / "data"))
    core.set_consent("800000000000000009", granted=False)
    for start in range(0, 300, 50):
        batch = [events.scam_message(f"e-{number}", number) for number in range(start, start + 50)]
        for event in batch[::5]:
            # Worth less than the lowest tier: remembered, not stored.
            event.ClearField("evidence")
            event.scam_detected.analysis.confidence = 0.3
        core.ingest(events.request(batch).SerializeToString())
    corrections = [events.correction(f"c-{number}", f"e-{number * 7 + 1}", number * 7 + 1) for number in range(10)]
    corrections += [events.correction(f"w-{number}", f"to come {number}", 1_000 + number) for number in range(5)]
    core.ingest(events.request(corrections).SerializeToString())
    core.copy_to(str(_made(folder / "dense")))
    core.close()
    return folder / "dense" / "examples" / "data.mdb", folder / "data" / "becas.key"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dense data file of a ledger; and no key."""
    folder = tmp_path_factory.mktemp("ledger")
    opened = Ledger(folder / "ledger")

    def fill(transaction: WriteTransaction) -> None:
        for number in range(40):
            name = f"becas-smollm2-scam_detection-v{number}"
            transaction.put(MODELS, name, model_pb2.Model(name=name, version=number))
            transaction.put(JOBS, f"scam_detection-{number}", training_pb2.Job(job_id=f"scam_detection-{number}"))
            transaction.put(TRIALS, f"trial-{number}", shadow_pb2.Trial(trial_id=f"trial-{number}"))
            audit.append(transaction, model_pb2.AuditEntry(action="promote", to_model=name, reason="it is better"))
            for part in range(5):
                pair = records_pb2.Pair(input=events.message(number * 5 + part), truth="true", user=f"{part:032x}")
                transaction.put(PAIRS, f"trial-{number}/{part:032x}", pair)
                transaction.put(REQUESTS, f"{number * 5 + part:032x}", records_pb2.ShadowRequest(category=2))
        transaction.set_number(OUTBOX_CURSOR, 12)

    opened.write(fill)
    opened.copy_to(folder / "dense")
    opened.close()
    return folder / "dense" / "data.mdb", Path("none")


@pytest.mark.parametrize("count", FLIPS)
def test_a_flipped_bit_is_never_exported(examples: tuple[Path, Path], tmp_path: Path, count: int) -> None:
    """Whatever of a damaged store is exported is what was stored, and whatever is missing is named."""
    _check("examples", examples, tmp_path, count)


@pytest.mark.parametrize("count", FLIPS)
def test_a_flipped_bit_is_never_read_from_the_ledger(ledger: tuple[Path, Path], tmp_path: Path, count: int) -> None:
    """Jobs, models, pairs, the audit log and cursors: as they were, or an error."""
    _check("ledger", ledger, tmp_path, count)


def _check(kind: str, store: tuple[Path, Path], folder: Path, count: int) -> None:
    data, key = store
    [whole] = flips.read_flipped(kind, _once_flipped(data, folder), key, folder / "whole", [0])
    assert (whole.ended, whole.problems) == ("", [])
    assert len(whole.content) > 200

    readings = flips.read_flipped(kind, data, key, folder / "flipped", flips.places(data, count, SEED))

    expected = set(whole.content)
    assert len(readings) == count
    assert [reading for reading in readings if set(reading.content) - expected] == []
    assert [one for one in readings if (one.content != whole.content or one.ended) and not one.problems] == []
    assert [one for one in readings if one.ended == "signal 14"] == [], "reading did not end"
    # Otherwise the file was mostly empty, and nothing was shown.
    assert sum(1 for one in readings if one.problems) > count / 4, _told(readings)


def _told(readings: list[Reading]) -> str:
    return json.dumps([(one.bit, one.ended, one.problems[:1]) for one in readings])


def _once_flipped(data: Path, folder: Path) -> Path:
    """The file with bit 0 flipped, so that one more flip makes it whole."""
    flipped = bytearray(data.read_bytes())
    flipped[0] ^= 1
    path = _made(folder / "prepared") / "data.mdb"
    path.write_bytes(flipped)
    return path


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
