"""Every page in a real Chromium: light, dark, wide, as narrow as a phone, full, and empty."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from helpers.browser import opened
from helpers.dashboard import Dashboard

TITLES = {
    "": "Overview",
    "queue": "Labelling",
    "jobs": "Jobs",
    "trials": "Trials",
    "trials/scam_detection-trial-1": "Trials",
    "models": "Models",
    "audit": "Audit log",
    "events": "Events",
}
LARGEST = 300_000
LONGEST_MS = 1_000
LEAST_LOADS, MOST_LOADS = 5, 30


def go(page: Page, found: Dashboard, name: str) -> None:
    """Open a page and wait until it shows more than that it loads."""
    page.goto(f"{found.url}#/{name}")
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[name])
    expect(page.get_by_text("Loading…")).to_have_count(0)


def violations(page: Page) -> list[str]:
    """What axe finds, by rule and element."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"]]


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page in each scheme."""
    with opened(browser, scheme=request.param) as found:
        yield found


@pytest.mark.parametrize("name", TITLES)
def test_full_page_is_accessible(page: Page, living: Dashboard, name: str) -> None:
    """Axe finds nothing; no part is wider than the screen, wide or as narrow as a phone."""
    go(page, living, name)
    assert violations(page) == []
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        expect(page.get_by_role("navigation")).to_be_visible()
        # A chart takes the new width a frame later.
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


def test_empty_pages_say_why_and_what_to_do(browser: Browser, empty: Dashboard) -> None:
    """Nothing is blank; axe finds nothing there either."""
    said = {
        "": "No example is stored yet.",
        "queue": "Nothing waits for a label.",
        "jobs": "No training was started yet.",
        "trials": "No shadow test was set up yet.",
        "models": "No model was trained or registered yet.",
        "audit": "Nothing was promoted or rolled back yet.",
        "events": "Nothing was published yet.",
    }
    with opened(browser) as page:
        for name, text in said.items():
            go(page, empty, name)
            expect(page.get_by_text(text)).to_be_visible()
            assert violations(page) == [], name


def test_page_is_light_and_quick(browser: Browser, living: Dashboard) -> None:
    """Under 300 kB over the wire, nothing from elsewhere, and the figures are there within a second."""
    measured: list[dict[str, Any]] = []
    # The machine may have other work: what counts is the best of some, and after a few one that is quick is enough.
    while len(measured) < LEAST_LOADS or (
        min(one["shown"] for one in measured) > LONGEST_MS and len(measured) < MOST_LOADS
    ):
        with opened(browser) as page:
            go(page, living, "")
            page.wait_for_function("performance.getEntriesByName('shown').length > 0")
            measured.append(
                page.evaluate(
                    """() => ({
                      shown: performance.getEntriesByName('shown')[0].startTime,
                      entries: ['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))
                        .map((entry) => [entry.name, entry.transferSize]),
                    })"""
                )
            )
    sizes = [sum(size for _, size in one["entries"]) for one in measured]
    times = sorted(one["shown"] for one in measured)
    print(f"{max(sizes)} bytes; shown after {times[0]:.0f} ms, median {times[len(times) // 2]:.0f}")  # noqa: T201 - a figure for the docs

    assert 20_000 < max(sizes) < LARGEST
    assert {name.startswith(living.url) for one in measured for name, _ in one["entries"]} == {True}
    assert times[0] < LONGEST_MS


def test_theme_is_kept(browser: Browser, empty: Dashboard) -> None:
    """Automatic, light, dark: chosen once, kept, and painted so."""
    with opened(browser) as page:
        go(page, empty, "")
        button = page.get_by_role("button", name="Theme: auto")
        button.click()
        page.get_by_role("button", name="Theme: light").click()
        page.reload()
        expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")) < 200


def test_every_page_is_reached_by_keyboard(browser: Browser, empty: Dashboard) -> None:
    """Tab leads over the link to the page and through the navigation; Enter opens."""
    with opened(browser) as page:
        go(page, empty, "")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        for _ in range(4):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
        # The page has the focus: what a screen reader reads next.
        assert page.evaluate("document.activeElement.id") == "main"
