"""What ShadowTest adds to a production answer: asked through it and of the runtime directly (g), in turns.

The runtime is a fake that answers at once, so that nothing hides what is added: a call over gRPC, the prompt, redacted,
the routing, and the record of a request; B runs beside every fifth one, as by default.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from typing import TYPE_CHECKING

import grpc

import events
import processes
from becas.ft.v1 import (
    example_pb2,
    model_pb2,
    model_service_pb2_grpc,
    shadow_pb2,
    shadow_service_pb2_grpc,
)
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings
from becas_ft.runtime.protocol import GenerateRequest
from measure import Figure
from variation import message

if TYPE_CHECKING:
    from bench import Bench

SCAM = example_pb2.CATEGORY_SCAM_DETECTION
BASE, CANDIDATE = "qwen3:1.7b", "becas-qwen-scam_detection-v1"
DIRECT = "(g) the runtime directly"
WARM = 50


def run(bench: Bench) -> list[Figure]:
    """Both ways for each message, one after the other."""
    texts = [
        text
        for event in events.originals()
        if event.WhichOneof("payload") == "scam_detected"
        if (text := message(event))
    ]
    count = bench.size(1_500, 60)
    figures = {share: Figure(f"ShadowTest, {share}", "ms", [], {DIRECT: []}) for share in ("p50", "p99")}
    added = {share: Figure(f"ShadowTest adds, {share}", "ms", []) for share in ("p50", "p99")}
    fake = [sys.executable, "-m", "peers.instant_ollama"]
    for _ in bench.turns("shadow"):
        with bench.scratch("shadow") as folder:
            folder.mkdir()
            with processes.running(fake, folder / "fake.log") as ollama:
                host = f"http://{ollama.address}"
                settings = {"BECAS_FT_RUNTIME__KIND": "ollama", "BECAS_FT_RUNTIME__OLLAMA_HOST": host}
                with processes.product(folder / "data", **settings) as server:
                    through, direct = asyncio.run(_in_turns(server.address, host, texts, count))
        for share, quantile in (("p50", 49), ("p99", 98)):
            ours, theirs = (1000 * statistics.quantiles(way, n=100)[quantile] for way in (through, direct))
            figures[share].product.append(ours)
            figures[share].peers[DIRECT].append(theirs)
            added[share].product.append(ours - theirs)
    added["p50"].below(2)
    added["p99"].below(5)
    return [*figures.values(), *added.values()]


async def _in_turns(address: str, host: str, texts: list[str], count: int) -> tuple[list[float], list[float]]:
    """Seconds of each call through the server, and of each to the runtime."""
    through, direct = [], []
    runtime = OllamaRuntime(OllamaSettings(host=host))
    async with grpc.aio.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        shadow = shadow_service_pb2_grpc.ShadowServiceStub(channel)
        for name in (BASE, CANDIDATE):
            await models.RegisterModel(model_pb2.RegisterModelRequest(name=name, base_model=BASE, category=SCAM))
        trial = await shadow.SetUpShadowTest(
            shadow_pb2.SetUpShadowTestRequest(category=SCAM, candidate_model=CANDIDATE)
        )
        chosen = itertools.islice(itertools.cycle(texts), count + WARM)
        for number, text in enumerate(chosen):
            request = shadow_pb2.ShadowTestRequest(category=SCAM, input=text, request_id=f"bench-{number}")
            began = time.perf_counter()
            answer = await shadow.ShadowTest(request)
            between = time.perf_counter()
            asked = await runtime.generate(GenerateRequest(model=BASE, prompt=text))
            ended = time.perf_counter()
            assert answer.output == asked.text, "the two ways give different answers"
            if number >= WARM:
                through.append(between - began)
                direct.append(ended - between)
        stats = await shadow.GetShadowStats(shadow_pb2.GetShadowStatsRequest())
        assert trial.trial.trial_id in str(stats), "no trial ran beside the requests"
    await runtime.close()
    return through, direct
