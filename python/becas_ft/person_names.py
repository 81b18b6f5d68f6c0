"""Masks people's names in the lines of an export, as Presidio finds them with a spaCy model.

Patterns find no names, and what finds them finds too few and too many: this is a second pass over redacted text, for
datasets that leave the machine.
"""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from becas_ft.errors import CommandError

PERSON: Final = "PERSON"
PLACEHOLDER: Final = "[PERSON]"

# What stands in for other personal data already, and what ends a JSON string: no name goes over it.
_APART: Final = re.compile(r"\[[A-Z][A-Z0-9_]*(?::[^\]\n]*)?\]|[\"\\\n]")


class PersonNames:
    """A spaCy model behind Presidio.

    Arguments:
        model: an installed spaCy pipeline, or the folder of one, that tells people's names (PERSON).

    Attributes:
        masked: names so far.

    Raises:
        CommandError: the packages or the model are missing; nothing is downloaded.
    """

    def __init__(self, model: str) -> None:
        try:
            from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
            from presidio_analyzer.nlp_engine import SpacyNlpEngine
            from presidio_analyzer.predefined_recognizers import SpacyRecognizer
            from spacy.util import get_package_path, is_package, load_meta
        except ImportError as error:
            raise CommandError("--mask-names needs Presidio and spaCy: pip install 'becas-ft[pii]'") from error
        # Presidio would download a model that is missing.
        folder = get_package_path(model) if is_package(model) else Path(model)
        if not (folder / "meta.json").is_file():
            raise CommandError(
                f"--mask-names {model}: no such spaCy model is installed; `python -m spacy download en_core_web_lg`"
                " installs one, and a folder made by spaCy does as well"
            )
        language = str(load_meta(folder / "meta.json")["lang"])
        engine = SpacyNlpEngine(models=[{"lang_code": language, "model_name": model}])
        recogniser = SpacyRecognizer(supported_language=language, supported_entities=[PERSON])
        registry = RecognizerRegistry(recognizers=[recogniser], supported_languages=[language])
        self._analyser = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])
        self._language = language
        self._model = model
        self.masked = 0

    def summary(self) -> dict[str, Any]:
        """For the manifest: the model, the version of Presidio and how many names were masked."""
        return {"model": Path(self._model).name, "presidio": version("presidio-analyzer"), "masked": self.masked}

    def mask_line(self, line: bytes) -> bytes:
        """A line of a JSONL export with the names in its input and in the texts of its output masked; never its label.

        The line keeps its form: compact JSON, the keys in their order.
        """
        row = json.loads(line)
        before = self.masked
        row["input"] = self.mask(row["input"])
        row["output"] = self._in_output(row["output"], row["metadata"]["label"])
        return line if self.masked == before else _compact(row).encode() + b"\n"

    def mask(self, text: str) -> str:
        """The text with a placeholder for each name."""
        found = self._analyser.analyze(text, language=self._language, entities=[PERSON])
        pieces: list[str] = []
        copied = 0
        for span in sorted(found, key=lambda one: (one.start, -one.end)):
            for start, end in _without(text, max(span.start, copied), span.end):
                pieces += [text[copied:start], PLACEHOLDER]
                copied = end
                self.masked += 1
        return "".join([*pieces, text[copied:]])

    def _in_output(self, output: str, label: str) -> str:
        """Texts in an answer; the label stays, or the answer would teach something else."""
        answer = json.loads(output)
        masked = {
            key: self.mask(value) if isinstance(value, str) and value != label else value
            for key, value in answer.items()
        }
        return output if masked == answer else _compact(masked)


def _without(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """What is left of a range without placeholders, quotes and the blanks at its ends."""
    left = []
    at = start
    for apart in [*(found.span() for found in _APART.finditer(text)), (end, end)]:
        piece = text[at : min(apart[0], end)]
        if piece.strip():
            first = at + len(piece) - len(piece.lstrip())
            left.append((first, first + len(piece.strip())))
        at = max(at, apart[1])
    return left


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
