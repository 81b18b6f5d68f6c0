"""Precision and recall of redaction on sentences with labelled personal data, printed as tables.

Found and labelled spans are compared as presidio-research does by spans: they match where they overlap.

* Recall of an entity: the share of its labelled spans that are covered by found spans of the expected type. A span
  that is covered in part only, or by another type, is redacted all the same; the tables name both.
* Precision of all found: the share of found spans that overlap any labelled span of an entity that is written by a
  pattern (`PATTERN_ENTITIES`): what is found inside of a name, an address or no label at all is wrong.

Run it as `python benches/redaction_quality.py [--data FOLDER] [--redactor COMMAND]`. The redactor reads lines and
writes one object a line, `{"text", "spans": [{"start", "end", "type"}]}`, offsets in code points of the line. Line
breaks inside of a sentence are sent as U+2028 to a redactor that reads plain lines, as `becas-ft redact --json` does;
with `--json-lines` each line is a JSON string instead.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BECAS_SHARED", ROOT.parent / "shared")) / "data" / "pii"

#: The type that each labelled entity must be found as, and the recall that it must reach.
EXPECTED = {
    "EMAIL_ADDRESS": ("EMAIL", 0.98),
    "CREDIT_CARD": ("CREDIT_CARD", 0.98),
    "IBAN_CODE": ("IBAN", 0.98),
    "US_SSN": ("US_SSN", 0.98),
    "IP_ADDRESS": ("IP_ADDRESS", 0.98),
    "PHONE_NUMBER": ("PHONE", 0.90),
}
#: Entities whose form gives them away. Names, places, organisations, titles and dates are not redacted by patterns.
PATTERN_ENTITIES = {*EXPECTED, "DOMAIN_NAME", "US_DRIVER_LICENSE"}
PRECISION = 0.95


@dataclass(frozen=True)
class Span:
    """Code points `start` to `end` of a sentence, and what they are."""

    start: int
    end: int
    kind: str

    def overlap(self, other: Span) -> int:
        """Return the number of code points that both have."""
        return max(0, min(self.end, other.end) - max(self.start, other.start))


@dataclass(frozen=True)
class Sentence:
    """A text and its labels."""

    text: str
    labels: tuple[Span, ...]


def read(folder: Path) -> list[Sentence]:
    """Read all sentences of presidio-research's JSON files in a folder."""
    sentences = []
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")]):
        content = path.read_bytes()
        samples = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
        for sample in samples:
            labels = (
                Span(span["start_position"], span["end_position"], span["entity_type"]) for span in sample["spans"]
            )
            sentences.append(Sentence(sample["full_text"], tuple(labels)))
    return sentences


def find(sentences: list[Sentence], command: list[str], *, json_lines: bool) -> list[list[Span]]:
    """Run the redactor over all sentences and return what it found in each."""
    if json_lines:
        lines = [json.dumps(sentence.text) for sentence in sentences]
    else:
        lines = [sentence.text.replace("\r", " ").replace("\n", "\u2028") for sentence in sentences]
    answer = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, encoding="utf-8", check=True)
    answers = [json.loads(line) for line in answer.stdout.split("\n") if line]
    if len(answers) != len(sentences):
        sys.exit(f"the redactor answered {len(answers)} lines to {len(sentences)}: it must answer each")
    return [[Span(span["start"], span["end"], span["type"]) for span in answer["spans"]] for answer in answers]


def recall(sentences: list[Sentence], found: list[list[Span]]) -> tuple[list[tuple[str, ...]], bool]:
    """Return a row for each expected entity, and whether all reach what they must."""
    rows: list[tuple[str, ...]] = []
    passed = True
    for entity, (expected, least) in EXPECTED.items():
        labelled = right = whole = other = 0
        for sentence, spans in zip(sentences, found, strict=True):
            for label in (label for label in sentence.labels if label.kind == entity):
                over = [span for span in spans if span.overlap(label)]
                labelled += 1
                right += any(span.kind == expected for span in over)
                other += bool(over) and all(span.kind != expected for span in over)
                whole += sum(span.overlap(label) for span in over) == label.end - label.start
        value = right / labelled if labelled else 1.0
        passed &= value >= least
        verdict = "ok" if value >= least else "TOO LOW"
        numbers = (labelled, right, whole, other)
        rows.append((entity, *(str(number) for number in numbers), f"{value:.4f}", f"{least:.2f}", verdict))
    return rows, passed


def precision(sentences: list[Sentence], found: list[list[Span]]) -> tuple[list[tuple[str, ...]], float]:
    """Return a row for each found type, with what it was found in, and the precision of all found."""
    inside: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    right = 0
    for sentence, spans in zip(sentences, found, strict=True):
        for span in spans:
            labels = {label.kind for label in sentence.labels if label.overlap(span)}
            is_right = bool(labels & PATTERN_ENTITIES)
            right += is_right
            inside[span.kind]["right" if is_right else "wrong"] += 1
            inside[span.kind][" + ".join(sorted(labels)) or "nothing labelled"] += 1
    rows: list[tuple[str, ...]] = []
    for kind, counts in sorted(inside.items()):
        where = ", ".join(f"{name} {count}" for name, count in counts.most_common() if name not in {"right", "wrong"})
        rows.append((kind, str(counts["right"]), str(counts["wrong"]), where))
    total = sum(counts["right"] + counts["wrong"] for counts in inside.values())
    return rows, right / total if total else 1.0


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print rows under a header, in columns."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


def misses(sentences: list[Sentence], found: list[list[Span]]) -> None:
    """Print what was labelled and not found, and what was found and not labelled, with a little around."""
    for sentence, spans in zip(sentences, found, strict=True):
        for label in sentence.labels:
            if label.kind in EXPECTED and not any(span.overlap(label) for span in spans):
                print(f"missed {label.kind}: {sentence.text[max(0, label.start - 30) : label.end + 15]!r}")
        for span in spans:
            if not any(label.kind in PATTERN_ENTITIES and label.overlap(span) for label in sentence.labels):
                print(f"wrong {span.kind}: {sentence.text[max(0, span.start - 30) : span.end + 15]!r}")


def main() -> int:
    """Print the tables; the exit status tells whether every figure is reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with presidio-research's JSON files")
    parser.add_argument("--redactor", default=f"{Path(sys.executable).parent / 'becas-ft'} redact --json")
    parser.add_argument("--json-lines", action="store_true", help="send each sentence as a JSON string")
    parser.add_argument("--misses", action="store_true", help="also print every miss (of invented data only)")
    options = parser.parse_args()
    sentences = read(options.data)
    if not sentences:
        print(f"no sentences in {options.data}: pass --data a folder with presidio-research's JSON files")
        return 2

    found = find(sentences, shlex.split(options.redactor), json_lines=options.json_lines)

    print(f"{len(sentences)} sentences, {sum(map(len, found))} spans found\n")
    recalls, passed = recall(sentences, found)
    table(("entity", "labelled", "found", "wholly", "as other", "recall", "at least", ""), recalls)
    rows, share = precision(sentences, found)
    table(("found as", "right", "wrong", "inside of"), rows)
    print(f"precision of all found: {share:.4f} (at least {PRECISION:.2f})")
    if options.misses:
        misses(sentences, found)
    return 0 if passed and share >= PRECISION else 1


if __name__ == "__main__":
    sys.exit(main())
