"""What the demo leaves to a person who has its dashboard; the models are tiny, the server and its answers real."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from becas_ft.cli.demo.by_hand import YOURS, hand_over, waiting
from becas_ft.cli.demo.messages import LiveMessage, Traffic
from becas_ft.cli.demo.process import Serving
from becas_ft.cli.demo.run import Demo
from helpers import models
from helpers.dashboard import MODEL, dashboard
from helpers.tiny_gguf import write_tiny_adapter
from helpers.training import BASE, decision, write_task_base

MESSAGES = 40


def message(number: int) -> LiveMessage:
    """One whose words the tiny models know."""
    event = decision(number)
    found = event.scam_detected
    is_scam = found.analysis.is_scam
    return LiveMessage(f"request-{number}", found.text, "", is_scam, event.user_id, event.guild_id, 1_788_000_000_000)


def test_ten_disagreements_are_left(tmp_path: Path) -> None:
    """Ten wait, all else is judged; the demo waits too, and ends with its server."""
    base = write_task_base(tmp_path / f"{BASE}.gguf")
    models.make_adapted(tmp_path / "data", MODEL, base, write_tiny_adapter(tmp_path / "adapter.gguf"))
    said: list[str] = []
    with dashboard(tmp_path, BECAS_FT_RUNTIME__EMBEDDED_BASE=str(base)) as found, ThreadPoolExecutor(1) as pool:
        served = found.served
        served.register(BASE, BASE)
        served.register(MODEL, BASE)
        trial = served.set_up(MODEL)
        serving = Serving(served.process.process, served.process.address, found.url)
        traffic = Traffic([], [message(number) for number in range(MESSAGES)])

        Demo(Console(file=io.StringIO()), tmp_path, traffic, serving).shadow(served.channel, MODEL)

        assert waiting(served.shadow) == YOURS
        report = served.report(trial.trial_id).report
        assert (report.pairs, report.wins + report.losses + report.ties) == (MESSAGES, MESSAGES - YOURS)
        ending = pool.submit(hand_over, said.append, serving)
        served.process.stop()
        ending.result(60)

    assert said[0] == f"Open {found.url}"
