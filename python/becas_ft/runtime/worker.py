"""The process in which llama.cpp runs: questions come in as JSON lines on standard input, answers go out alike.

The first line in is the set-up; the first line out says `ready` or `failed`. Afterwards each line in is a question
or a cancellation and each line out the answer to one question, in any order. The end of standard input ends the
process at once, whatever it is doing: so it never outlives its parent, however that died. (A deadly PR_SET_PDEATHSIG
would fire when the parent's *thread* ends, which an event loop's thread may do long before the process.)
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xllamacpp

LOWEST_NICENESS = 19
# Of prctl(2); Python has no name for it.
_PR_SET_PDEATHSIG = 1
# The category's output is compact JSON; a base model that has not learned so would spend tokens on white space.
COMPACT = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker serves, fixed for its life.

    Attributes:
        base: Path of the base GGUF.
        adapters: Paths of LoRA adapters; a question names one by its place in this list.
        threads: Threads that compute.
        parallel: Questions answered at a time; more wait in line.
        context: Tokens of prompt and answer together, of each question.
        background: Run only when the processor has nothing else to do.
    """

    base: str
    adapters: Sequence[str]
    threads: int
    parallel: int
    context: int
    background: bool

    def encode(self) -> bytes:
        """The line that starts a worker."""
        return json.dumps(asdict(self)).encode() + b"\n"


def main() -> None:
    """Serve until standard input ends."""
    # llama.cpp prints to standard output when it pleases: keep the channel, give it standard error instead.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    setup = Setup(**json.loads(sys.stdin.buffer.readline()))
    if setup.background:
        _yield_to_everyone()
        _wake_when_left_alone()
    service = _Service(setup, channel)
    threading.Thread(target=service.start, daemon=True).start()
    for line in sys.stdin.buffer:
        service.receive(json.loads(line))
    # Not sys.exit: threads inside llama.cpp would hold it up.
    os._exit(0)


def _yield_to_everyone() -> None:
    os.nice(LOWEST_NICENESS)
    if hasattr(os, "SCHED_IDLE"):
        # Containers may forbid it; niceness alone is the next best.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _wake_when_left_alone() -> None:
    """Let the parent's death resume this process: a paused one would never read the end of its input."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


class _Service:
    """Questions in flight and the channel their answers go through."""

    def __init__(self, setup: Setup, channel: BinaryIO) -> None:
        self._setup = setup
        self._channel = channel
        self._writing = threading.Lock()
        self._cancelled: dict[int, threading.Event] = {}
        self._pool = ThreadPoolExecutor(setup.parallel)
        self._server: xllamacpp.Server | None = None

    def start(self) -> None:
        """Load the models, off the thread that watches standard input."""
        import xllamacpp  # takes long: standard input must already be watched

        try:
            self._server = _load(self._setup)
        except Exception:  # noqa: BLE001 - llama.cpp's own errors are of many kinds, the parent must hear of all
            # What was at fault the parent finds out with another process: an engine that ends in this one may hang.
            self._send({"event": "failed"})
            return
        self._send({"event": "ready", "version": f"xllamacpp {xllamacpp.__version__}"})

    def receive(self, message: Mapping[str, Any]) -> None:
        """Take a question or a cancellation."""
        number: int = message["id"]
        if message.get("cancel"):
            if flag := self._cancelled.get(number):
                flag.set()
            return
        self._cancelled[number] = threading.Event()
        self._pool.submit(self._answer, number, message["question"])

    def _answer(self, number: int, question: Mapping[str, Any]) -> None:
        try:
            answer = _generate(self._server, len(self._setup.adapters), question, self._cancelled[number])
            reply = {"answer": answer}
        except Exception as error:  # noqa: BLE001 - one bad question must not end the worker
            # The text of a foreign error may quote the prompt: only its class leaves the process.
            reply = {"error": {"type": type(error).__name__}}
        del self._cancelled[number]
        self._send({"id": number, **reply})

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        # A parent that is gone is noticed on standard input.
        with self._writing, contextlib.suppress(BrokenPipeError):
            self._channel.write(line)
            self._channel.flush()


def _load(setup: Setup) -> xllamacpp.Server:
    import xllamacpp  # takes long: standard input must already be watched

    parameters = xllamacpp.CommonParams()
    parameters.model.path = setup.base
    parameters.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MMAP
    # Repacked weights would be a private copy; as they are, all workers share them through the page cache.
    parameters.no_extra_bufts = True
    parameters.n_ctx = setup.context * setup.parallel
    parameters.n_parallel = setup.parallel
    parameters.cpuparams.n_threads = setup.threads
    parameters.cpuparams_batch.n_threads = setup.threads
    # Prompts of past questions kept beside the slots: gigabytes by default, for chats that go on.
    parameters.cache_ram_mib = 0
    parameters.n_ctx_checkpoints = 0
    parameters.verbosity = 0
    # The engine opens a port on loopback that nothing here uses: nobody else shall.
    parameters.api_keys = [secrets.token_hex(32)]
    parameters.endpoint_slots = False
    parameters.lora_init_without_apply = True
    infos = []
    for path in setup.adapters:
        info = xllamacpp.CommonAdapterLoraInfo()
        info.path, info.scale = path, 1.0
        infos.append(info)
    parameters.lora_adapters = infos
    return xllamacpp.Server(parameters)


def _generate(
    server: xllamacpp.Server, adapters: int, question: Mapping[str, Any], cancelled: threading.Event
) -> dict[str, Any]:
    if cancelled.is_set():
        return {"cancelled": True}
    body = {
        **question["body"],
        # Every adapter by name: one left out would be applied at its full scale.
        "lora": [{"id": place, "scale": float(place == question["adapter"])} for place in range(adapters)],
        "chat_template_kwargs": {"enable_thinking": False},
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    schema = question["schema"]
    if schema is not None:
        body["grammar"] = "%llguidance {}\nstart: %json " + json.dumps({**schema, "x-guidance": COMPACT})
    answer = _Answer()

    def take(chunk: dict[str, Any]) -> bool:
        answer.add(chunk)
        return cancelled.is_set()

    rest = server.handle_chat_completions(body, take)
    if isinstance(rest, dict):
        answer.add(rest)
    return {"cancelled": True} if cancelled.is_set() else answer.finished()


class _Answer:
    """An answer put together from the chunks of a stream."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._tokens: list[tuple[list[int], float]] = []
        self._rest: dict[str, Any] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        if error := chunk.get("error"):
            self._rest["refused"] = {
                "type": str(error.get("type", "")),
                "tokens": error.get("n_prompt_tokens"),
                "limit": error.get("n_ctx"),
            }
            return
        for choice in chunk.get("choices", ()):
            self._text.append(choice.get("delta", {}).get("content") or "")
            for token in (choice.get("logprobs") or {}).get("content", ()):
                self._tokens.append((token["bytes"], token["logprob"]))
            if finish := choice.get("finish_reason"):
                self._rest["finish"] = finish
        if usage := chunk.get("usage"):
            self._rest["prompt_tokens"] = usage["prompt_tokens"]
            self._rest["completion_tokens"] = usage["completion_tokens"]

    def finished(self) -> dict[str, Any]:
        return {"text": "".join(self._text), "tokens": self._tokens, **self._rest}


if __name__ == "__main__":
    main()
