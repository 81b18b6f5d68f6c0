"""What a newcomer does: open the dashboard, label ten disagreements, promote, roll back. In a real Chromium."""

import pytest
from playwright.sync_api import Browser, expect

from becas.ft.v1 import model_pb2
from becas_ft.rollout import audit
from helpers.browser import opened
from helpers.dashboard import MODEL, Dashboard, lively
from helpers.newcomer import label, promote, roll_back
from helpers.served import SCAM, SECONDS
from helpers.training import BASE, WORDS

LABELS = 10
# promotion.min_judged of the defaults.
LEAST_PAIRS = 100
TRIAL = "scam_detection-trial-1"


def answering(found: Dashboard) -> list[str]:
    request = model_pb2.ListModelsRequest(category=SCAM)
    return [alias.model for alias in found.served.model.ListModels(request, timeout=SECONDS).aliases]


@pytest.mark.timeout(600)
def test_label_promote_roll_back(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Refused before the labels, promoted after them, rolled back; each with the evidence before the eyes."""
    with lively(tmp_path_factory.mktemp("newcomer")) as found, opened(browser, refused=True) as page:
        before = len(found.waiting())
        pairs = found.served.report(TRIAL).report.pairs
        # How often both models answer alike depends on the arithmetic of the machine: those pairs are judged at once.
        judged = pairs - before
        assert judged < LEAST_PAIRS <= judged + LABELS
        page.goto(found.url)
        expect(page.get_by_role("rowheader", name="scam detection")).to_be_visible()

        page.get_by_role("link", name="Models").click()
        page.get_by_role("button", name="Promote…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text(f"{judged} of {pairs}")
        expect(dialog).to_contain_text("need more data")
        dialog.get_by_role("button", name="Promote").click()
        expect(page.get_by_role("alert")).to_contain_text(f"{judged} of {LEAST_PAIRS} judged pairs")
        assert answering(found) == []

        # Its link is clicked once more by `label`: the keys work all the same.
        page.get_by_role("link", name="Labelling").click()
        expect(page.get_by_label("Message")).to_be_visible()
        label(page, LABELS, _is_scam)
        assert len(found.waiting()) == before - LABELS

        promote(page, "Ada", "ten labels more", "promote B")
        expect(page.get_by_text(f"Answers: {MODEL}")).to_be_visible()
        assert answering(found) == [MODEL]

        roll_back(page, "to see that it goes", MODEL)
        expect(page.get_by_text(f"Answers: {BASE}")).to_be_visible()
        assert answering(found) == [BASE]

        page.get_by_role("link", name="Audit log").click()
        rows = page.get_by_role("row")
        expect(rows.nth(1)).to_contain_text("to see that it goes")
        expect(rows.nth(2)).to_contain_text("Ada")
        page.get_by_role("link", name="Events").click()
        expect(page.get_by_text("fine_tuning.rolled_back")).to_be_visible()
        log = found.served.audited()

    assert [(entry.action, entry.actor, entry.reason) for entry in log] == [
        ("promote", "Ada", "ten labels more"),
        ("rollback", "Ada", "to see that it goes"),
    ]
    assert audit.broken_links(log) == []


def _is_scam(message: str) -> bool:
    """The words of the one half mean a scam: what the events taught."""
    half = set(sorted(WORDS)[: len(WORDS) // 2])
    return sum(word in half for word in message.split()) > sum(word in set(WORDS) - half for word in message.split())
