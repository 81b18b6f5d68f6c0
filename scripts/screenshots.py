"""Write the pictures of the dashboard in docs/images/, from a server with a real past (tests/helpers/dashboard.py)."""

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect

from helpers.browser import chromium, opened
from helpers.dashboard import MODEL, Dashboard, lively

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
PAGES = {
    "overview": "",
    "labelling": "queue",
    "job": "jobs/scam_detection-1",
    "trials": "trials",
    "trial": "trials/scam_detection-trial-1",
    "models": "models",
    "audit": "audit",
    "events": "events",
}
WIDE, PHONE, HEIGHT = 1100, 390, 800
# Charts are drawn in the frame after their figures came.
SETTLE_MS = 500


def main() -> None:
    """What is to be decided, before; what was decided, after a promotion."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, lively(Path(folder), train=True) as found, chromium() as browser:
        shoot(browser, found, "overview", "labelling", "job")
        shoot(browser, found, "trial", scheme="dark")
        shoot(browser, found, "overview", width=PHONE)
        found.served.promote(MODEL)
        shoot(browser, found, "trials", "models", "audit", "events")


def shoot(browser: Browser, found: Dashboard, *names: str, scheme: str = "light", width: int = WIDE) -> None:
    """Pages as long as they are."""
    suffix = ("-dark" if scheme == "dark" else "") + ("-phone" if width == PHONE else "")
    with opened(browser, scheme=scheme, width=width, height=HEIGHT) as page:
        for name in names:
            page.goto(f"{found.url}#/{PAGES[name]}")
            expect(page.get_by_text("Loading…")).to_have_count(0)
            page.wait_for_timeout(SETTLE_MS)
            page.screenshot(path=IMAGES / f"{name}{suffix}.png", full_page=True)


if __name__ == "__main__":
    main()
