"""A real Chromium for the dashboard's tests."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Names a browser that is none of these on PATH.
VARIABLE = "BECAS_CHROMIUM"
# A busy machine is slow, not broken.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


def find_chromium(own: str) -> str | None:
    """The one that BECAS_CHROMIUM names, else one on PATH, else Playwright's own, else None.

    Arguments:
        own: where Playwright's would be.
    """
    named = os.environ.get(VARIABLE)
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    return found or (own if Path(own).exists() else None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium, started; without one the test is skipped, where BECAS_REQUIRE_BROWSER is set it fails."""
    with sync_playwright() as playwright:
        path = find_chromium(playwright.chromium.executable_path)
        if path is None:
            why = f"no Chromium: `make browser` installs one; {VARIABLE} names another"
            if os.environ.get("BECAS_REQUIRE_BROWSER"):
                pytest.fail(why)
            pytest.skip(why)
        # Its sandbox needs rights that containers rarely give; it opens our own pages only.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser, *, scheme: str = "light", width: int = 1280, height: int = 900, refused: bool = False
) -> Iterator[Page]:
    """A page of its own context: nothing of another test is stored in it.

    What its console calls an error fails, but answers of a status that is expected.

    Arguments:
        browser: started.
        scheme: light or dark.
        width: of the window, in pixels.
        height: likewise.
        refused: whether answers of status 400, 401 or 403 come.
    """
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": height}
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    try:
        yield page
    finally:
        context.close()

    refusals = [problem for problem in problems if re.search(r"status of 40[013]", problem)]
    assert [problem for problem in problems if problem not in refusals] == [], problems
    assert bool(refusals) is refused
