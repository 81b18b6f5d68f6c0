"""Nothing personal of the real events is found anywhere under the folder of a server that took them all."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from helpers.real_events import Imported

_ID = re.compile(rb"(?<![0-9])[0-9]{17,20}(?![0-9])")
_EVENT_ID = re.compile(rb"evt_[0-9]+_[0-9a-f]+")
_EMAIL = re.compile(rb"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_IPV4 = re.compile(rb"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])")
_IPV6 = re.compile(rb"(?<![0-9A-Za-z:.])[0-9A-Fa-f]{1,4}(?:::?[0-9A-Fa-f]{1,4}){2,7}(?![0-9A-Za-z:])")
_WALLET = re.compile(rb"\b(?:0x[0-9a-fA-F]{40}|bc1[02-9ac-hj-np-z]{30,})\b")
_CARD = re.compile(rb"(?<![0-9A-Za-z])(?:[0-9][ -]?){12,15}[0-9](?![0-9A-Za-z])")
_IBAN = re.compile(
    rb"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?(?![0-9A-Za-z])"
)
_DIGITS = re.compile(r"(?:[0-9][ ().+-]*){7,}")


def is_card(text: bytes) -> bool:
    """The check digit of Luhn."""
    digits = [int(digit) for digit in re.sub(rb"[^0-9]", b"", text).decode()][::-1]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def is_iban(text: bytes) -> bool:
    """The check digits of ISO 7064."""
    account = re.sub(rb"[ -]", b"", text).decode()
    return int("".join(str(int(character, 36)) for character in account[4:] + account[:4])) % 97 == 1


def is_ipv6(text: bytes) -> bool:
    """An address that is written out, or shortened once."""
    try:
        ipaddress.IPv6Address(text.decode())
    except ValueError:
        return False
    return True


def anything(_: bytes) -> bool:
    """The form alone tells."""
    return True


_PATTERNS: dict[str, tuple[re.Pattern[bytes], Callable[[bytes], bool]]] = {
    "id": (_ID, anything),
    "event id": (_EVENT_ID, anything),
    "e-mail": (_EMAIL, anything),
    "IP": (_IPV4, anything),
    "wallet": (_WALLET, anything),
    "card": (_CARD, is_card),
    "IBAN": (_IBAN, is_iban),
}


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


@pytest.fixture(scope="module")
def stored(imported: Imported) -> list[bytes]:
    """Store, ledger, logs and command output, whole; an export with them."""
    imported.cli("export", "--out", str(imported.folder / "all"), "--no-balance")
    return list(files(imported.folder))


@pytest.mark.parametrize("name", _PATTERNS)
def test_nothing_personal_of_the_input_is_on_disk(imported: Imported, stored: list[bytes], name: str) -> None:
    """Whatever of the input looks like it is searched for in every file."""
    pattern, is_one = _PATTERNS[name]
    raw = "\n".join(said(event) for event in imported.events).encode()
    wanted = {match for match in pattern.findall(raw) if is_one(match)}
    assert wanted, f"the input has no {name}: the search would prove nothing"
    found = {match for content in stored for match in pattern.findall(content)} & wanted

    # IPs of the loopback stand in the log of the server itself.
    assert {match for match in found if not match.startswith(b"127.0.0.1")} == set()


def test_no_ipv6_address_is_on_disk(stored: list[bytes]) -> None:
    """The input has none, so that none at all may be there."""
    assert is_ipv6(b"2001:db8:5d1f:7b00::8a2e:370:7334")
    assert _IPV6.findall(b"at 2001:db8:5d1f:7b00::8a2e:370:7334.") == [b"2001:db8:5d1f:7b00::8a2e:370:7334"]

    assert {match for content in stored for match in _IPV6.findall(content) if is_ipv6(match)} == set()


def test_no_phone_number_of_the_input_is_on_disk(imported: Imported, stored: list[bytes]) -> None:
    """Whatever the phonenumbers library finds (GB, US) in a message is in no example."""
    numbers: set[str] = set()
    for text in {text for event in imported.events for text in texts(event["payload"]) if _DIGITS.search(text)}:
        for region in ("GB", "US"):
            numbers |= {match.raw_string for match in phonenumbers.PhoneNumberMatcher(text, region)}
    assert len(numbers) > 100
    content = b"\n".join(stored)

    assert sorted(number for number in numbers if number.encode() in content) == []
