"""llama.cpp as an independent judge: next-token log-probabilities and token ids, straight from the engine."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import xllamacpp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray


class LlamaCpp:
    """One model, optionally with an adapter at full scale."""

    def __init__(self, base: Path, adapter: Path | None = None) -> None:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(base)
        parameters.n_ctx = 512
        parameters.n_parallel = 1
        parameters.cpuparams.n_threads = 1
        parameters.cpuparams_batch.n_threads = 1
        # The default keeps keys and values in half precision, which would hide small differences.
        parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        parameters.cache_ram_mib = 0
        parameters.warmup = False
        parameters.verbosity = -1
        if adapter is not None:
            info = xllamacpp.CommonAdapterLoraInfo()
            info.path, info.scale = str(adapter), 1.0
            parameters.lora_adapters = [info]
        self._server: Any = xllamacpp.Server(parameters)

    def logprobs(self, ids: Sequence[int], vocabulary: int) -> NDArray[np.float64]:
        """Return the log-probability of every token after `ids`."""
        answer = self._server.handle_completions(
            {
                "prompt": list(ids),
                "n_predict": 1,
                "n_probs": vocabulary,
                "temperature": 0.0,
                "cache_prompt": False,
            },
        )
        row = np.full(vocabulary, -np.inf)
        for token in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
            row[token["id"]] = token["logprob"]
        return row

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text, special tokens in it counting as such."""
        body = json.dumps({"content": text, "parse_special": True, "add_special": False}).encode()
        request = urllib.request.Request(
            f"{self._server.listening_address}/tokenize", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            found: list[int] = json.loads(reply.read())["tokens"]
        return found

    def prompt(self, system: str, message: str) -> str:
        """Return what the engine makes of two turns by the model's chat template."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": message}]
        request = urllib.request.Request(
            f"{self._server.listening_address}/apply-template",
            json.dumps({"messages": messages, "chat_template_kwargs": {"enable_thinking": False}}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            text: str = json.loads(reply.read())["prompt"]
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server = None
