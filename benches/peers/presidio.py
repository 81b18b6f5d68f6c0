"""Presidio's pattern recognisers over JSON strings, a line each; no model, no engine around them.

`python -m peers.presidio FILE` prints `{"mb_per_s", "spans", "recognisers"}`. The phone recogniser is left out, since
it is no pattern but the phonenumbers library, and so are those of single countries but US_SSN: the kinds are ours.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import tldextract
from presidio_analyzer import PatternRecognizer
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    CryptoRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    UrlRecognizer,
    UsSsnRecognizer,
)

CHOSEN = (
    CreditCardRecognizer,
    CryptoRecognizer,
    EmailRecognizer,
    IbanRecognizer,
    IpRecognizer,
    UrlRecognizer,
    UsSsnRecognizer,
)


def main() -> None:
    """Analyse every text with every recogniser."""
    # With the list of public suffixes that it carries; it would fetch a newer one.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    texts = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    recognisers: list[PatternRecognizer] = [make() for make in CHOSEN]
    for recogniser in recognisers:
        # Compiles the patterns, and reads the list of public suffixes.
        recogniser.analyze("jo@example.com https://example.com 203.0.113.7", recogniser.supported_entities)
    size = sum(len(text.encode()) for text in texts)
    began = time.perf_counter()
    spans = 0
    for text in texts:
        for recogniser in recognisers:
            spans += len(recogniser.analyze(text, recogniser.supported_entities) or ())
    seconds = time.perf_counter() - began
    print(json.dumps({"mb_per_s": size / 1e6 / seconds, "spans": spans, "recognisers": len(recognisers)}))


if __name__ == "__main__":
    main()
