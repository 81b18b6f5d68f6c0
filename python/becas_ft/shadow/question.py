"""A request as models are asked it, and what is read from their answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import example_pb2
from becas_ft.rollout import registry
from becas_ft.runtime.confidence import read_answer
from becas_ft.runtime.errors import InvalidOutput
from becas_ft.runtime.protocol import GenerateRequest, Generation, Priority
from becas_ft.shadow import clean, grade

# Characters of an item in an answer with a list, such as the name of a tool.
_LIST_ITEM = 20


@dataclass(frozen=True)
class Asked:
    """A request in the only form that is kept: pseudonyms and redacted text."""

    category: "example_pb2.Category.ValueType"
    pseudonym: str
    digest: str
    system: str
    prompt: str
    user: str
    guild: str
    time_ms: int
    stored: bool


class Questions:
    """What every model is asked, in the same way.

    Arguments:
        schemas: JSON schema of each category's output by name.
        max_tokens: longest answer.
        max_text: longest text in an answer, in characters.
        redact: text without personal data.
    """

    def __init__(
        self, schemas: dict[str, dict[str, Any]], *, max_tokens: int, max_text: int, redact: Callable[[str], str]
    ) -> None:
        self._schemas = {name: bounded(schema, max_text) for name, schema in schemas.items()}
        self._max_tokens = max_tokens
        self._redact = redact

    def ask(self, asked: Asked, model: str, seconds: float, priority: Priority) -> GenerateRequest:
        """What the runtime is sent; an answer may take so many seconds."""
        return GenerateRequest(
            model=model,
            prompt=asked.prompt,
            system=asked.system,
            schema=self._schemas[registry.category_name(asked.category)],
            max_tokens=self._max_tokens,
            timeout=seconds,
            priority=priority,
        )

    def read(self, asked: Asked, model: str, generation: Generation) -> records_pb2.Answer:
        """The answer as it is kept, redacted; a failure where it has no label."""
        output = clean.output(generation.text, self._redact)
        category = registry.category_name(asked.category)
        answer = records_pb2.Answer(model=model, output=output, latency_ms=generation.latency * 1000)
        try:
            read = read_answer(generation)
        except InvalidOutput:
            answer.failure = "unparsable"
            return answer
        answer.label = grade.label_of(category, output) or ""
        answer.confidence = read.confidence or 0.0
        if not answer.label:
            answer.failure = "unparsable"
        return answer


def bounded(schema: dict[str, Any], max_text: int) -> dict[str, Any]:
    """A JSON schema whose free texts have at most so many characters, and its lists so many items as fit in one."""
    match schema.get("type"):
        case "object":
            properties = {name: bounded(field, max_text) for name, field in schema["properties"].items()}
            return {**schema, "properties": properties}
        case "array":
            most = max(1, max_text // _LIST_ITEM)
            return {**schema, "items": bounded(schema["items"], _LIST_ITEM), "maxItems": most}
        case "string" if "enum" not in schema:
            return {**schema, "maxLength": max_text}
    return schema
