"""Nothing personal of the real events is found anywhere under the folder of a server that took them all."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import phonenumbers

from helpers.real_events import Imported

_ID = re.compile(rb"(?<![0-9])[0-9]{17,20}(?![0-9])")
_EVENT_ID = re.compile(rb"evt_[0-9]+_[0-9a-f]+")
_EMAIL = re.compile(rb"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_IPV4 = re.compile(rb"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])")
_WALLET = re.compile(rb"\b(?:0x[0-9a-fA-F]{40}|bc1[02-9ac-hj-np-z]{30,})\b")
_DIGITS = re.compile(r"(?:[0-9][ ().+-]*){7,}")
_PATTERNS = {"id": _ID, "event id": _EVENT_ID, "e-mail": _EMAIL, "IP": _IPV4, "wallet": _WALLET}


def files(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.read_bytes()


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def said(event: dict[str, Any]) -> str:
    return "\n".join(texts(event))


def test_no_id_address_or_wallet_of_the_input_is_on_disk(imported: Imported) -> None:
    """Store, ledger, logs and command output, searched whole; an export with them."""
    imported.cli("export", "--out", str(imported.folder / "all"), "--no-balance")
    raw = "\n".join(said(event) for event in imported.events).encode()
    stored = list(files(imported.folder))

    for name, pattern in _PATTERNS.items():
        wanted = set(pattern.findall(raw))
        assert wanted, f"the input has no {name}: the search would prove nothing"
        found = {match for content in stored for match in pattern.findall(content)} & wanted
        # IPs of the loopback stand in the log of the server itself.
        assert {match for match in found if not match.startswith(b"127.0.0.1")} == set(), name


def test_no_phone_number_of_the_input_is_on_disk(imported: Imported) -> None:
    """Whatever the phonenumbers library finds (GB, US) in a message is in no example."""
    numbers: set[str] = set()
    for text in {text for event in imported.events for text in texts(event["payload"]) if _DIGITS.search(text)}:
        for region in ("GB", "US"):
            numbers |= {match.raw_string for match in phonenumbers.PhoneNumberMatcher(text, region)}
    assert len(numbers) > 100
    stored = b"\n".join(files(imported.folder))

    assert sorted(number for number in numbers if number.encode() in stored) == []
