"""The served model's own chat template: the one string for training, the parity gate and serving."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from becas_ft.training.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from becas_ft.training.gguf import GgufHeader

_PROBE: Final = "\N{SNOWMAN}answer\N{SNOWMAN}"


@dataclasses.dataclass(frozen=True, slots=True)
class ChatTemplate:
    """Renders a task and a message as the model expects them.

    Attributes:
        source: the Jinja text of `tokenizer.chat_template`.
        beginning: text of the model's first token, or empty.
        ending: text of the token that ends an answer.
    """

    source: str
    beginning: str
    ending: str

    @classmethod
    def of(cls, header: GgufHeader) -> ChatTemplate:
        """Take the template from a GGUF header.

        Raises:
            TemplateError: the model has none, or it does not render.
        """
        source = header.metadata.get("tokenizer.chat_template")
        if not isinstance(source, str) or not source:
            raise TemplateError("the model has no tokenizer.chat_template; serve an instruction-tuned model")
        ending = _token(header, "eot_token_id") or _token(header, "eos_token_id")
        if not ending:
            raise TemplateError("the model names no token that ends an answer; serve an instruction-tuned model")
        template = cls(source, _token(header, "bos_token_id"), ending)
        return dataclasses.replace(template, ending=template._own_ending() or ending)

    def prompt(self, system: str, message: str, shots: Sequence[tuple[str, str]] = ()) -> str:
        """Return the text up to where the answer begins.

        Args:
            system: the task.
            message: the user's turn.
            shots: earlier turns (message, answer), for a few-shot prompt.
        """
        turns = [turn for asked, answered in shots for turn in (_turn("user", asked), _turn("assistant", answered))]
        return self._render([_turn("system", system), *turns, _turn("user", message)], generate=True)

    def _own_ending(self) -> str:
        """Return what the template itself writes behind an answer, up to the next line; empty if it hides that."""
        turns = [_turn("system", "s"), _turn("user", "u")]
        whole = self._render([*turns, _turn("assistant", _PROBE)], generate=False)
        return whole.partition(_PROBE)[2].split("\n", 1)[0]

    def _render(self, messages: list[dict[str, str]], *, generate: bool) -> str:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols"],
            autoescape=False,
        )
        environment.globals["raise_exception"] = _refuse
        try:
            return environment.from_string(self.source).render(
                messages=messages,
                add_generation_prompt=generate,
                # Thinking before the answer would put the label out of first place.
                enable_thinking=False,
                bos_token=self.beginning,
                eos_token=self.ending,
                tools=None,
            )
        except jinja2.TemplateError as error:
            raise TemplateError(f"the model's chat template does not render: {type(error).__name__}") from error


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _token(header: GgufHeader, name: str) -> str:
    tokens = header.metadata.get("tokenizer.ggml.tokens", [])
    index = header.metadata.get(f"tokenizer.ggml.{name}")
    return tokens[index] if isinstance(index, int) and 0 <= index < len(tokens) else ""


def _refuse(_message: Any) -> str:  # noqa: ANN401  (called by templates with whatever they hold)
    raise jinja2.TemplateError("refused by the template")
