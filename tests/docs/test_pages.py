"""The commands of the tutorial and of the how-to pages, typed in order against real servers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from helpers.pages import DOCS, Block, Reader, blocks, reading

# gRPC by hand has a test of its own, which also compares answers; what is made from the code has no commands to type.
PAGES: Final = sorted(
    page for page in DOCS.glob("*.md") if page.name not in {"grpcurl.md", "categories.md"} and blocks(page)
)
LONG_PAGES: Final = [page for page in PAGES if any(block.fate == "run: long" for block in blocks(page))]
# Nothing trains while a page is typed that does not wait for it.
QUIET: Final = {"BECAS_FT_PROMOTION__AUTO_FINE_TUNE": "false", "BECAS_FT_RUNTIME__KIND": "embedded"}


def named(page: Path) -> str:
    return page.stem


def corrected(reader: Reader) -> None:
    """The correction superseded its example, and made a gold twin beside the correction itself."""
    stats = json.loads(reader.type("becas-ft stats --json"))
    rows = {row["category"]: row for row in stats["categories"] if int(row.get("total", 0))}

    assert int(stats["superseded"]) == 1
    assert int(rows["scam_detection"]["tiers"]["gold"]) == 1


def asked_first(reader: Reader) -> None:
    """What was done is on record, and a guild that never said anything is refused."""
    entries = json.loads(reader.type("becas-ft audit --json"))["entries"]
    receipts = reader.type("python examples/python/bot.py --replay examples/replay.jsonl").splitlines()

    assert [entry["action"] for entry in entries] == ["consent", "consent", "forget"]
    assert {json.loads(receipt)["status"] for receipt in receipts} == {"REFUSED"}


# What a page says that its commands lead to.
LEADS_TO: Final[dict[str, Callable[[Reader], None]]] = {"label": corrected, "consent": asked_first}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_blocks_are_marked(page: Path) -> None:
    """Each block of shell commands says that it is run here, or why it is not."""
    assert [block.line for block in blocks(page) if not block.is_marked] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands(page: Path, inputs: Path) -> None:
    """Each command of a page ends well, in the page's order; what takes minutes is left to the long test."""
    quick = [block for block in blocks(page) if block.fate in {"run", "run: background", "run: stop"}]
    if not quick:
        pytest.skip(f"{page.name}: each of its blocks says why it is not run")
    with reading(inputs / "clone", **QUIET) as reader:
        follow(reader, quick)
        if page.stem in LEADS_TO:
            LEADS_TO[page.stem](reader)


@pytest.mark.long
@pytest.mark.timeout(10_800)
@pytest.mark.parametrize("page", LONG_PAGES, ids=named)
def test_long_commands(page: Path, inputs: Path) -> None:
    """Each command of a page ends well, trainings included."""
    with reading(inputs / "clone") as reader:
        follow(reader, [block for block in blocks(page) if block.fate.startswith("run")])


def follow(reader: Reader, todo: list[Block]) -> None:
    for block in todo:
        said = reader.follow(block)
        print(f"{block.commands}{said}")  # noqa: T201 - pytest shows it where a test fails
