"""A hook of MkDocs: links of a page to files beside `docs/` work in the repository, and are names on the site."""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]*)(#[^)]*)?\)")
# A warning ends a strict build.
_log = logging.getLogger("mkdocs.hooks.links")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:  # noqa: ANN401 - MkDocs ships no types
    """Replace links that leave the site by the path in the repository; one that leads nowhere is a warning."""
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def replaced(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        if target.startswith("docs/"):
            return link[0]
        if not (_ROOT / target).exists():
            _log.warning("%s links to %s, which the repository does not have", page.file.src_uri, target)
        return f"`{target}`" if link[1].strip("`") in target else f"{link[1]} (`{target}`)"

    return _LINK.sub(replaced, markdown)
