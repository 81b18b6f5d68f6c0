"""What only the embedded runtime promises: its processes die alone, restart, and never outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from gguf import GGUFWriter

from becas_ft.runtime import (
    GenerateRequest,
    InvalidModel,
    ModelDefinition,
    ModelInUse,
    Priority,
    RequestRefused,
    Runtime,
    RuntimeUnavailable,
    WorkerCrashed,
)
from becas_ft.runtime.embedded import EmbeddedRuntime, EmbeddedSettings

if TYPE_CHECKING:
    from collections.abc import Callable


ASK = GenerateRequest(
    model="smollm2", system="You tell stories.", prompt="Tell a long story", max_tokens=4, timeout=120
)
LONG = replace(ASK, max_tokens=400)


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def running(process_id: int) -> bool:
    """Whether a process runs: neither gone nor waiting to be buried."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children() -> set[int]:
    """Numbers of this process's children."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(number) for task in tasks for number in task.read_text().split()}


def threads_of(process_id: int) -> list[int]:
    """Numbers of a process's threads."""
    return [int(task.name) for task in Path(f"/proc/{process_id}/task").iterdir()]


@pytest.mark.asyncio(loop_scope="session")
async def test_killed_worker_fails_its_questions_and_comes_back(embedded: EmbeddedRuntime) -> None:
    """A killed worker fails what it was answering with a typed error; nobody else notices."""
    await embedded.generate(ASK)
    await embedded.generate(replace(ASK, priority=Priority.CANDIDATE))
    before = embedded.worker_process_ids()
    asked = asyncio.create_task(embedded.generate(replace(LONG, priority=Priority.CANDIDATE)))
    await asyncio.sleep(0.3)
    os.kill(before["candidate"], signal.SIGKILL)

    with pytest.raises(WorkerCrashed, match="restarted"):
        await asked
    again = await embedded.generate(replace(ASK, priority=Priority.CANDIDATE))
    after = embedded.worker_process_ids()
    assert again.completion_tokens == 4
    assert after["production"] == before["production"]
    assert after["candidate"] != before["candidate"]


@pytest.mark.asyncio(loop_scope="session")
async def test_worker_comes_back_by_itself(embedded: EmbeddedRuntime) -> None:
    """A worker that died is there again before anybody asks, with the adapters it had."""
    await embedded.generate(ASK)
    before = embedded.worker_process_ids()["production"]
    os.kill(before, signal.SIGKILL)
    await until(lambda: embedded.worker_process_ids().get("production") not in {None, before})

    assert (await embedded.generate(ASK)).completion_tokens == 4


@pytest.mark.asyncio
async def test_worker_that_is_killed_as_it_starts_is_not_its_adapters_fault(
    embedded_settings: EmbeddedSettings, adapters: list[Path]
) -> None:
    """Short of memory, the kernel kills: the model is not called broken, and is served as soon as it can be."""
    runtime = EmbeddedRuntime(embedded_settings)
    await runtime.create(ModelDefinition(name="sound", base="smollm2", adapter=adapters[0]))
    before = children()
    moving = asyncio.create_task(runtime.copy("sound", "in-production"))
    await until(lambda: children() != before)
    for started in children() - before:
        os.kill(started, signal.SIGKILL)

    with pytest.raises(RuntimeUnavailable, match="memory"):
        await moving
    await runtime.copy("sound", "in-production")
    await runtime.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_candidate_yields_to_everyone(embedded: EmbeddedRuntime) -> None:
    """The candidate's worker runs at the lowest priority, production's at the usual one."""
    await embedded.generate(ASK)
    await embedded.generate(replace(ASK, priority=Priority.CANDIDATE))
    workers = embedded.worker_process_ids()

    assert os.getpriority(os.PRIO_PROCESS, workers["candidate"]) == 19
    assert os.getpriority(os.PRIO_PROCESS, workers["production"]) == os.getpriority(os.PRIO_PROCESS, 0)
    assert os.sched_getscheduler(workers["candidate"]) == os.SCHED_IDLE
    assert {os.sched_getscheduler(thread) for thread in threads_of(workers["candidate"])} == {os.SCHED_IDLE}


@pytest.mark.asyncio(loop_scope="session")
async def test_candidate_stands_still_while_production_is_asked(embedded: EmbeddedRuntime) -> None:
    """The candidate's worker gets no processor time beside a production answer, and goes on with its own after it."""
    await embedded.generate(replace(ASK, priority=Priority.CANDIDATE))
    await embedded.generate(ASK)
    worker = embedded.worker_process_ids()["candidate"]
    beside = asyncio.create_task(embedded.generate(replace(LONG, priority=Priority.CANDIDATE)))
    await asyncio.sleep(0.3)
    first = asyncio.create_task(embedded.generate(replace(LONG, max_tokens=60)))
    await asyncio.sleep(0.1)
    before = _processor_seconds(worker)
    await first
    spent = _processor_seconds(worker) - before

    assert not beside.done()
    assert spent <= 1 / os.sysconf("SC_CLK_TCK")
    assert (await beside).completion_tokens == LONG.max_tokens


@pytest.mark.asyncio(loop_scope="session")
async def test_new_candidate_beside_production_waits(embedded: EmbeddedRuntime, adapters: list[Path]) -> None:
    """A candidate whose worker starts while production is asked begins once it was answered, and is answered."""
    await embedded.create(ModelDefinition(name="newcomer", base="smollm2", adapter=adapters[0]))
    first = asyncio.create_task(embedded.generate(LONG))
    await asyncio.sleep(0.1)
    beside = asyncio.create_task(embedded.generate(replace(ASK, model="newcomer", priority=Priority.CANDIDATE)))
    done, _ = await asyncio.wait({first, beside}, return_when=asyncio.FIRST_COMPLETED)

    assert done == {first}
    assert (await beside).completion_tokens == ASK.max_tokens
    await embedded.delete("newcomer")


@pytest.mark.asyncio(loop_scope="session")
async def test_worker_opens_nothing_to_others(embedded: EmbeddedRuntime) -> None:
    """The engine's own port asks for a key that nobody has."""
    await embedded.generate(ASK)
    worker = embedded.worker_process_ids()["production"]
    ports = await asyncio.to_thread(_listening_ports, worker)
    for port in ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"messages":[{"role":"user","content":"hello"}]}'
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        status = await reader.readline()
        writer.close()
        await writer.wait_closed()

        assert b"401" in status


def _listening_ports(process_id: int) -> list[int]:
    sockets = set()
    for link in Path(f"/proc/{process_id}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    ports = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in sockets:
            ports.append(int(fields[1].rpartition(":")[2], 16))
    return ports


@pytest.mark.asyncio(loop_scope="session")
async def test_timed_out_question_stops_working(embedded: EmbeddedRuntime) -> None:
    """Work on an answer that nobody waits for any more is stopped, so that it delays nobody."""
    await embedded.generate(ASK)
    for _ in range(4):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(embedded.generate(LONG), 0.3)
    worker = embedded.worker_process_ids()["production"]
    await asyncio.sleep(2)
    before = _processor_seconds(worker)
    await asyncio.sleep(1)

    assert _processor_seconds(worker) - before < 0.5


def _processor_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.asyncio(loop_scope="session")
async def test_bad_schema_is_refused(embedded: EmbeddedRuntime) -> None:
    """A schema that the engine does not understand fails the question: an unbound answer is never passed off."""
    with pytest.raises(RequestRefused, match="schema"):
        await embedded.generate(replace(ASK, prompt="Say hello.", max_tokens=60, schema={"type": "nonsense"}))


@pytest.mark.asyncio(loop_scope="session")
async def test_new_adapter_interrupts_nobody(embedded: EmbeddedRuntime, adapters: list[Path]) -> None:
    """Loading another adapter starts a new worker; what the old one is answering is finished by the old one."""
    await embedded.generate(ASK)
    before = embedded.worker_process_ids()["production"]
    asked = asyncio.create_task(embedded.generate(replace(ASK, max_tokens=60)))
    await asyncio.sleep(0.2)
    await embedded.create(ModelDefinition(name="newcomer", base="smollm2", adapter=adapters[1], system="x"))
    await embedded.generate(replace(ASK, model="newcomer"))
    story = await asked
    await until(lambda: not running(before))
    await embedded.delete("newcomer")

    assert story.completion_tokens > 4
    assert embedded.worker_process_ids()["production"] != before


@pytest.mark.asyncio(loop_scope="session")
async def test_adapter_that_does_not_load_harms_nobody(
    embedded: EmbeddedRuntime, tmp_path: Path, adapters: list[Path]
) -> None:
    """An adapter that only the engine finds wrong fails its own model's questions and moves no alias."""
    broken = tmp_path / "broken.gguf"
    writer = GGUFWriter(str(broken), "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    # Each half fits the base, but their ranks differ.
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((4, 576), dtype=np.float32))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.ones((576, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    await embedded.create(ModelDefinition(name="broken", base="smollm2", adapter=broken))
    await embedded.create(ModelDefinition(name="sound", base="smollm2", adapter=adapters[0]))
    await embedded.copy("sound", "in-production")

    with pytest.raises(InvalidModel, match="broken"):
        await embedded.generate(replace(ASK, model="broken"))
    with pytest.raises(InvalidModel, match="broken"):
        await embedded.copy("broken", "in-production")
    answer = await embedded.generate(replace(ASK, model="in-production"))
    for name in ("broken", "in-production", "sound"):
        await embedded.delete(name)
    assert answer.model == "sound"


@pytest.mark.asyncio(loop_scope="session")
async def test_aliased_model_cannot_be_deleted(embedded: EmbeddedRuntime) -> None:
    """An alias never points at nothing: the model below it stays until the alias is moved or deleted."""
    await embedded.create(ModelDefinition(name="below", base="smollm2", system="Be brief."))
    await embedded.copy("below", "above")

    with pytest.raises(ModelInUse, match="above"):
        await embedded.delete("below")
    await embedded.delete("above")
    await embedded.delete("below")
    assert not {"above", "below"} & {summary.name for summary in await embedded.list()}


@pytest.mark.asyncio(loop_scope="session")
async def test_alias_goes_back_to_the_base(embedded: EmbeddedRuntime) -> None:
    """Rollback may end at the base model itself."""
    await embedded.copy("smollm2", "rolled-back")
    answer = await embedded.generate(replace(ASK, model="rolled-back"))
    await embedded.delete("rolled-back")

    assert answer.model == "smollm2"


@pytest.mark.asyncio(loop_scope="session")
async def test_missing_base_names_the_remedy(tmp_path: Path) -> None:
    """A base file that is not there is told with its path, by health and by every question."""
    missing = tmp_path / "missing.gguf"
    runtime = EmbeddedRuntime(EmbeddedSettings(models=tmp_path / "models", bases={"smollm2": missing}))

    health = await runtime.health()
    with pytest.raises(RuntimeUnavailable, match=r"missing\.gguf"):
        await runtime.generate(ASK)
    await runtime.close()
    assert not health.healthy
    assert "missing.gguf" in health.detail


@pytest.mark.asyncio(loop_scope="session")
async def test_close_ends_the_processes(embedded_settings: EmbeddedSettings) -> None:
    """Closing fails what is in flight with a typed error and leaves no process."""
    runtime: Runtime = EmbeddedRuntime(embedded_settings)
    assert isinstance(runtime, EmbeddedRuntime)
    await runtime.generate(ASK)
    workers = runtime.worker_process_ids().values()
    asked = asyncio.create_task(runtime.generate(LONG))
    await asyncio.sleep(0.2)
    await runtime.close()

    with pytest.raises(RuntimeUnavailable):
        await asked
    assert not any(running(worker) for worker in workers)


PARENT = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from becas_ft.runtime import GenerateRequest, Priority
from becas_ft.runtime.embedded import EmbeddedRuntime, EmbeddedSettings

async def main():
    bases = {"smollm2": Path(sys.argv[2])}
    runtime = EmbeddedRuntime(EmbeddedSettings(models=Path(sys.argv[1]), bases=bases, threads=1, context=512))
    ask = GenerateRequest(model="smollm2", prompt="Tell a long story", max_tokens=int(sys.argv[3]))
    await runtime.health()
    if sys.argv[4] == "candidate":
        await runtime.generate(replace(ask, priority=Priority.CANDIDATE, max_tokens=1))
    asked = asyncio.create_task(runtime.generate(ask))
    await asyncio.sleep(0.2)
    print(runtime.worker_process_ids()[sys.argv[4]], flush=True)
    await asked
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("which", ["production", "candidate"])
def test_worker_dies_with_its_parent(tmp_path: Path, base: Path, which: str) -> None:
    """A parent that is killed takes its workers with it: one in the middle of an answer, and one that is paused."""
    command = [sys.executable, "-c", PARENT, str(tmp_path / "models"), str(base), "400", which]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        time.sleep(0.5)
        assert running(worker)
        parent.kill()
        parent.wait(30)
    deadline = time.monotonic() + 10
    while running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.02)
