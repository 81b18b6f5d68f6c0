"""One server with a past, for all tests of the dashboard, and a browser for each file of them."""

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


# While Playwright runs its loop stands in the way of asynchronous tests, those of other files as well.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as started:
        yield started
