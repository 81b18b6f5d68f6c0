"""One server with a past, and one browser, for all tests of the dashboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from helpers import canaries
from helpers.browser import chromium
from helpers.dashboard import Dashboard, dashboard, lively


@pytest.fixture(scope="session")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Something on every page; no file of it shows a planted secret in the end."""
    folder = tmp_path_factory.mktemp("dashboard")
    with lively(folder) as found:
        yield found
    assert canaries.search(folder) == []


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Dashboard]:
    """Nothing on any page."""
    with dashboard(tmp_path) as found:
        yield found


# Playwright's loop would stand in the way of other folders' asynchronous tests.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as started:
        yield started
