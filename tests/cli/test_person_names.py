"""Names of people in an export, masked by Presidio with a spaCy model that knows a handful of them."""

import json
import sys
from pathlib import Path

import pytest
import spacy
from spacy.pipeline import EntityRuler

from becas_ft.errors import CommandError
from becas_ft.person_names import PersonNames
from helpers import events
from helpers.server import CommandLine

NAMES = ("Grace Hopper", "Ada Lovelace", "Nguyễn Du")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of spaCy's own that tells these names and no others: trained ones come from the network."""
    folder = tmp_path_factory.mktemp("model") / "names"
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    assert isinstance(ruler, EntityRuler)
    ruler.add_patterns([{"label": "PERSON", "pattern": name} for name in (*NAMES, "true", "USER", 'said " Ada')])
    pipeline.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def names(model: Path) -> PersonNames:
    """Opened once: that takes seconds."""
    return PersonNames(str(model))


def named(number: int) -> dict[str, object]:
    """A decision that names somebody in its message and in its reasoning."""
    event = events.scam(number)
    name = NAMES[number % len(NAMES)]
    event["payload"]["text"] = f"{events.message(number)} says {name}, and {name} knows"
    event["payload"]["analysis"]["reasoning"] = f"{name} of the guild's staff has written it, and it promises nothing."
    return event


def test_an_export_without_names(cli: CommandLine, model: Path, tmp_path: Path) -> None:
    """No name is left in the folder, every label is; the rest of the lines is what an export without it has."""
    events_file = tmp_path / "events.jsonl"
    events_file.write_text(events.lines(named(number) for number in range(60)))
    assert cli("import", events_file).code == 0

    plain = cli("export", "--category", "scam_detection", "--out", tmp_path / "plain", "--json")
    done = cli("export", "--category", "scam_detection", "--out", tmp_path / "masked", "--mask-names", model, "--json")

    assert done.code == 0, done.stderr
    before, after = (
        [json.loads(line) for line in (tmp_path / kind / "data.jsonl").read_text().splitlines()]
        for kind in ("plain", "masked")
    )
    assert len(before) == plain.json()["examples"] > 40
    assert [row["metadata"] for row in after] == [row["metadata"] for row in before]
    for masked, as_stored in zip(after, before, strict=True):
        [name] = [name for name in NAMES if name in as_stored["input"]]
        assert masked["input"] == as_stored["input"].replace(name, "[PERSON]")
        assert masked["output"] == as_stored["output"].replace(name, "[PERSON]")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "masked").iterdir()).decode()
    assert [name for name in NAMES if name in everything] == []
    manifest = json.loads((tmp_path / "masked" / "manifest.json").read_text())
    assert done.json() == manifest
    assert manifest["person_names"]["masked"] == 3 * len(before)
    assert {key: value for key, value in manifest.items() if key != "person_names"} == plain.json()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Message: "Ada Lovelace wrote"', 'Message: "[PERSON] wrote"'),
        ("Grace Hopper, Ada Lovelace", "[PERSON], [PERSON]"),
        ("[USER] asked Grace Hopper", "[USER] asked [PERSON]"),
        ('he said " Ada', 'he [PERSON] " [PERSON]'),
        ("nobody", "nobody"),
    ],
)
def test_what_is_masked(names: PersonNames, text: str, expected: str) -> None:
    """Placeholders and the quotes of JSON stay as they are, whatever the model takes for a name."""
    assert names.mask(text) == expected


def test_what_is_missing_is_named(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is not there, a format without lines, and packages that are not installed; nothing is written."""
    out = tmp_path / "set"
    missing = cli("export", "--category", "scam_detection", "--out", out, "--mask-names", "en_no_such_model")
    parquet = cli("export", "--out", out, "--format", "parquet", "--mask-names", "en_core_web_lg")
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)

    assert (missing.code, parquet.code) == (1, 2)
    assert "no such spaCy model is installed" in missing.stderr
    assert "--format jsonl" in parquet.stderr
    assert not out.exists()
    with pytest.raises(CommandError, match="pip install 'becas-ft\\[pii\\]'"):
        PersonNames("en_core_web_lg")
