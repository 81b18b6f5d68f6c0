"""The whole path of a newcomer: a fresh clone, `make demo`, and the dashboard that it opens, in a real Chromium."""

import difflib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from becas_ft.cli.demo.by_hand import YOURS
from becas_ft.runtime.default_base import DEFAULT_BASE
from helpers.browser import opened
from helpers.newcomer import label, promote, roll_back
from helpers.pages import free_address

ROOT: Final = Path(__file__).resolve().parents[2]
# What was seen on the way, to be looked at.
SHOTS: Final = ROOT / "build" / "newcomer"
DEMO_SECONDS: Final = 5400
END_SECONDS: Final = 120
MODEL: Final = f"becas-{DEFAULT_BASE}-scam_detection-v1"
SETTLE_MS: Final = 500


def fresh() -> dict[str, str]:
    """The variables of someone who has neither settings nor an environment of Python."""
    dropped = ("BECAS_", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


@contextmanager
def demo(clone: Path, output: Path) -> Iterator[str]:
    """`make demo` with a dashboard, until it leaves everything to you; the dashboard's address. Ends as Ctrl-C does."""
    command = ["make", "demo", f"DASHBOARD={free_address()}"]
    with output.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=clone, env=fresh(), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + DEMO_SECONDS
        while not (found := re.search(r"Open (http://\S+)", output.read_text())):
            assert process.poll() is None, output.read_text()[-3000:]
            assert time.monotonic() < deadline, output.read_text()[-3000:]
            time.sleep(1)
        yield found[1]
        os.killpg(process.pid, signal.SIGINT)
        process.wait(END_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.mark.long
@pytest.mark.timeout(DEMO_SECONDS + 600)
def test_clone_to_rollback(browser: Browser, inputs: Path, tmp_path: Path) -> None:
    """Ten labels, a promotion and a rollback by hand, of a real model that was trained on the way."""
    clone, sample = inputs / "clone", inputs / "sample"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True, timeout=300)
    with demo(clone, tmp_path / "demo.txt") as url, opened(browser) as page:
        written: list[str | Path] = [clone / ".venv" / "bin" / "becas-ft", "demo", "--write", sample]
        subprocess.run(written, env=fresh(), check=True, timeout=300)
        live = [json.loads(line) for line in (sample / "live.jsonl").read_text().splitlines()]
        truths = {str(message["text"]): bool(message["is_scam"]) for message in live}

        def truth(shown: str) -> bool:
            """What the collection says; placeholders stand where personal data was."""
            # The first line of a prompt is the message, as JSON; its context follows.
            message = json.loads(shown.splitlines()[0].removeprefix("Message: "))
            near = difflib.get_close_matches(message, truths, n=1, cutoff=0.5)
            return truths[near[0]]

        page.goto(url)
        expect(page.get_by_role("rowheader", name="scam detection")).to_be_visible()
        shoot(page, "1-overview")
        page.get_by_role("link", name="Labelling").click()
        expect(page.get_by_label("Message")).to_be_visible()
        shoot(page, "2-labelling")
        label(page, YOURS, truth)
        shoot(page, "3-labelled")
        promote(page, "Ada", "ten labels more", "promote B")
        expect(page.get_by_text(f"Answers: {MODEL}")).to_be_visible()
        shoot(page, "4-promoted")
        roll_back(page, "to see that it goes", MODEL)
        expect(page.get_by_text(f"Answers: {DEFAULT_BASE}")).to_be_visible()
        shoot(page, "5-rolled-back")
        page.get_by_role("link", name="Audit log").click()
        rows = page.get_by_role("row")
        expect(rows.nth(1)).to_contain_text("to see that it goes")
        expect(rows.nth(2)).to_contain_text("ten labels more")
        shoot(page, "6-audit")
