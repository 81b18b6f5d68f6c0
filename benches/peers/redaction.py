"""The peer's redaction: the product's kinds of personal data as patterns of `re`, one after the other.

What one writes in an afternoon: no folding of look-alike characters, no spelt-out addresses, no words around a number
that tell what it is. So it does less than the product for each text, never more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEYS = (
    r"AKIA|ASIA|ABIA|ACCA|AIza|ya29\.|GOCSPX-|gh[pousr]_|github_pat_|glpat-|gldt-|xox[bparse]-|xoxe\.|xapp-|"
    r"[spr]k_(?:live|test)_|whsec_|sk-|hf_|npm_|pypi-|SG\.|do[op]_v1_|shp(?:at|ss|ca)_|sq0(?:atp|csp)-|dapi|PMAK-|"
    r"lin_api_|ntn_|r8_|gsk_|AGE-SECRET-KEY-1|eyJ|key-|tskey-|sntrys_|glsa_|figd_|EAACEdEose0cBA"
)
_NAMES = r"password|passwd|passphrase|pwd|secret|token|api[_ -]?key|access|auth|credential"
_DISCORD = r"discord(?:app)?\.com"
_DIGIT = re.compile(r"\d")

#: What is found, a character that it cannot do without (0 for any digit), how it looks. In the product's order: markup
#: and links first, numbers last.
PATTERNS: tuple[tuple[str, str, str], ...] = (
    ("API_KEY", "-", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*-----|\Z)"),
    ("USER", "<", r"<@!?\d{5,20}>"),
    ("ROLE", "<", r"<@&\d{5,20}>"),
    ("CHANNEL", "<", r"<#\d{5,20}>"),
    ("EMOJI", "<", r"<a?:\w{2,32}:\d{5,20}>"),
    ("TIMESTAMP", "<", r"<t:-?\d{1,13}(?::[tTdDfFR])?>"),
    ("WEBHOOK", "/", _DISCORD + r"/api/(?:v\d+/)?webhooks/\d+/[\w-]+"),
    ("INVITE", "/", r"discord(?:\.gg|(?:app)?\.com/invite)/[\w-]+"),
    ("MESSAGE_LINK", "/", _DISCORD + r"/channels/(?:@me|\d+)(?:/\d+){1,2}"),
    ("CDN_LINK", "/", r"(?:cdn\.discord(?:app)?\.com|media\.discordapp\.net)/\S+"),
    ("BOT_TOKEN", ".", r"\b(?:[MNO][\w-]{22,27}\.[\w-]{6,7}\.[\w-]{27,}|mfa\.[\w-]{20,})"),
    ("API_KEY", "0", rf"(?<![A-Za-z0-9])(?:{_KEYS})[\w./+=-]{{10,}}"),
    (
        "API_KEY",
        "0",
        rf"(?i:(?<=password: )|(?<=token: )|(?:{_NAMES})[\"'` ]*[:=][\"'` ]*)(?=\S*\d)(?=\S*[A-Za-z])[^\s\"'`]{{8,}}",
    ),
    ("URL_CREDENTIALS", "@", r"(?<=://)[^\s/@:]+(?::[^\s/@]*)?(?=@)"),
    ("URL_QUERY", "=", r"(?<=[?&#])(?P<name>[\w.-]+=)[^\s&#]+"),
    ("EMAIL", "@", r"[\w.%+-]{1,64}@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}"),
    (
        "CRYPTO_WALLET",
        "0",
        r"\b(?:0x[0-9a-fA-F]{40}|(?:bc|tb|ltc)1[02-9ac-hj-np-z]{25,87}|[13][1-9A-HJ-NP-Za-km-z]{25,34})\b",
    ),
    ("CRYPTO_WALLET", "0", r"\b(?=[1-9A-HJ-NP-Za-km-z]*\d)[1-9A-HJ-NP-Za-km-z]{43,44}\b"),
    ("SNOWFLAKE", "0", r"(?<!\d)\d{17,20}(?!\d)"),
    ("IBAN", "0", r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b"),
    ("MAC_ADDRESS", "0", r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b"),
    ("IP_ADDRESS", ":", r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,7}(?![\w:])"),
    ("IP_ADDRESS", "0", r"(?<![\d.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\d.])"),
    ("CREDIT_CARD", "0", r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)"),
    ("US_SSN", "0", r"(?<!\d)(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?!\d)"),
    ("PHONE", "0", r"(?<![\w.])(?:\+|00)\d{1,3}(?:[ .()-]*\d){6,14}(?!\d)"),
    ("PHONE", "0", r"(?<!\w)(?:\(?\d{3}\)?[ .-]?)\d{3}[ .-]?\d{4}(?!\d)"),
    ("PHONE", "0", r"(?<!\w)0\d{2,4}[ .-]?\d{3}[ .-]?\d{3,5}(?!\d)"),
)
_COMPILED = [(kind, needed, re.compile(pattern)) for kind, needed, pattern in PATTERNS]


def redact(text: str, ids: Iterable[tuple[str, str]] = ()) -> str:
    """The text with placeholders such as `[EMAIL]`; `ids` are the event's own, with the name of their kind."""
    for kind, raw in ids:
        if raw in text:
            text = text.replace(raw, f"[{kind}]")
    has_digit = _DIGIT.search(text) is not None
    for kind, needed, pattern in _COMPILED:
        if not (has_digit if needed == "0" else needed in text):
            continue
        if kind == "CREDIT_CARD":
            text = pattern.sub(_card, text)
        elif kind == "IBAN":
            text = pattern.sub(_iban, text)
        elif kind == "URL_QUERY":
            text = pattern.sub(r"\g<name>[URL_QUERY]", text)
        else:
            text = pattern.sub(f"[{kind}]", text)
    return text


def _card(found: re.Match[str]) -> str:
    digits = [int(character) for character in found[0] if character.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]  # noqa: PLR2004 - Luhn's own
    return "[CREDIT_CARD]" if (sum(digits[::-2]) + sum(doubled)) % 10 == 0 else found[0]


def _iban(found: re.Match[str]) -> str:
    compact = found[0].replace(" ", "").upper()
    number = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return "[IBAN]" if int(number) % 97 == 1 else found[0]
