"""A model's answer without personal data, and still JSON."""

import json
from collections.abc import Callable
from typing import Any

MAXIMUM_OUTPUT = 65_536
"""Characters; a longer answer is no answer of any category."""

_SMALLEST_ID = 1e6
"""A number can be an id or a telephone's, but a score or a delta is none."""

Redact = Callable[[str], str]


def output(text: str, redact: Redact) -> str:
    r"""The answer as it is told and kept; empty where it is too long to be one.

    Texts are redacted one by one, as they read: in the JSON around them an escape would hide an address (`\u0040`) or
    be taken for a part of it (`\njoe@…`), and a placeholder in the place of a number would leave no JSON behind.
    """
    if len(text) > MAXIMUM_OUTPUT:
        return ""
    try:
        return json.dumps(_clean(json.loads(text), redact), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return redact(_whole(text))


def _clean(value: Any, redact: Redact) -> Any:  # noqa: ANN401 - whatever JSON can say
    if isinstance(value, str):
        return redact(_whole(value))
    if isinstance(value, dict):
        return {redact(_whole(key)): _clean(item, redact) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, redact) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) >= _SMALLEST_ID:
        written = json.dumps(value)
        cleaned = redact(written)
        return value if cleaned == written else cleaned
    return value


def _whole(text: str) -> str:
    """JSON may escape half of a character, which no UTF-8 can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
