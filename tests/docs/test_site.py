"""The site is built from the pages, and what is made from the code is as the code says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from helpers.pages import DOCS, ROOT

MAKE_PAGES: Final = ROOT / "scripts" / "gen_docs.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    categories = (DOCS / "categories.md").read_text(encoding="utf-8")
    subprocess.run([sys.executable, MAKE_PAGES], cwd=ROOT, check=True, timeout=240)
    assert (DOCS / "categories.md").read_text(encoding="utf-8") == categories, "make docs, and commit categories.md"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", out],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "WARNING" not in done.stderr
    return out


def test_every_page_is_there(site: Path) -> None:
    """Each page of docs/ became one of the site, and its pictures with it."""
    pages = [page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")]

    assert len(pages) > 15
    assert [page for page in pages if not (site / page).exists()] == []
    assert len(list((site / "pictures").glob("*.svg"))) == 5


def test_needs_no_network(site: Path) -> None:
    """No page loads anything from elsewhere: links may lead out, sources may not."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'src="http' not in text, page
        assert 'rel="stylesheet" href="http' not in text, page


def test_reference_is_complete(site: Path) -> None:
    """The reference names each setting, command and call."""
    configuration = (site / "reference" / "configuration.html").read_text(encoding="utf-8")
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    api = (site / "reference" / "api.html").read_text(encoding="utf-8")

    assert "<code>max_user_share</code>" in configuration
    assert "64 GiB" in configuration
    assert all(f"becas-ft {name}" in commands for name in ("serve", "import", "shadow truth", "access token add"))
    assert all(name in api for name in ("IngestStream", "RecordTruth", "STATUS_REFUSED", "Answers once every"))
