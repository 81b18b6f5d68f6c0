"""After Forget and after withdrawn consent no file of a server holds anything of the member or the guild."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from becas.ft.v1 import dataset_pb2, event_pb2, ingest_pb2, shadow_pb2
from becas_ft._core import Core
from helpers import events, models
from helpers.served import SCAM, SECONDS, Served, serving

MEMBER = "712345678901234567"
GUILD = "812345678901234567"
OTHER_GUILD = "823456789012345678"
MODERATOR = "734567890123456789"
CAPACITY = 30


@dataclass(frozen=True)
class Search:
    """What is searched for, in every file of a folder.

    Attributes:
        folder: of the test: stores, models, logs, what commands printed.
        needles: by name: raw ids, pseudonyms as bytes and as text, words that only they wrote.
    """

    folder: Path
    needles: dict[str, bytes]

    def found(self) -> set[str]:
        """`name: file` of each that is there."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        content = {path: path.read_bytes() for path in files}
        return {
            f"{name}: {path.relative_to(self.folder)}"
            for path, data in content.items()
            for name, needle in self.needles.items()
            if needle in data
        }


def needles(core: Core, kind: str, raw: str, words: str) -> dict[str, bytes]:
    pseudonym = core.pseudonym(kind, raw)
    return {
        "raw id": raw.encode(),
        "pseudonym": pseudonym.encode(),
        "pseudonym in bytes": bytes.fromhex(pseudonym),
        # Each thing that is sent has a word of its own, so that a word that is left says what was.
        **{f"words of {way}": f"{words} {way}".encode() for way in WAYS},
    }


WAYS = (
    *("stored", "replaced", "evicted", "superseded", "target", "named", "correcting", "pending", "labelling"),
    *("asked", "compared", "judged"),
)


@contextmanager
def server(folder: Path) -> Iterator[Served]:
    """A server with a small store, a trial that samples every request, and a model to try."""
    with serving(folder, models.candidate(1), BECAS_FT_STORE__CAPACITY=str(CAPACITY)) as served:
        yield served


def scam(event_id: str, text: str, *, user: str, guild: str, gold: bool = True) -> event_pb2.Event:
    event = events.scam_message(event_id, 1)
    event.user_id, event.guild_id = user, guild
    event.scam_detected.text = text
    event.evidence.human_validated = gold
    event.evidence.rag_enhanced = gold
    return event


def plant(served: Served, trial_id: str, *, user: str, guild: str, words: str) -> None:
    """Everything that a member can leave behind, in every state that it can be in."""

    def ingest(*batch: event_pb2.Event) -> list[ingest_pb2.Receipt]:
        return list(served.ingest.Ingest(events.request(batch), timeout=SECONDS).receipts)

    def by(way: str, *, gold: bool = True) -> event_pb2.Event:
        return scam(f"{words}-{way}", f"{words} {way}", user=user, guild=guild, gold=gold)

    def correction(way: str, original: str, *, label: str) -> event_pb2.Event:
        event = events.correction(f"{words}-{way}", original, 1, label=label, message_=f"{words} {way}")
        event.user_id, event.guild_id = user, guild
        return event

    ingest(by("evicted", gold=False), by("replaced", gold=False), by("superseded"))
    better = by("replaced")
    better.event_id = f"{words}-better"
    ingest(better)
    ingest(correction("correcting", f"{words}-superseded", label="false"))
    ingest(correction("pending", f"{words}-never-came", label="false"))
    named = event_pb2.Event(
        event_id=f"{words}-named",
        guild_id=guild,
        network_raid_detected=event_pb2.NetworkPattern(
            pattern="raid",
            users=[MODERATOR, user, "745678901234567890", "756789012345678901"],
            confidence=0.95,
            indicators=["one text"],
        ),
        evidence=event_pb2.Evidence(
            reasoning=f"{words} named, all of them within a minute of each other, with one text"
        ),
    )
    target = event_pb2.Event(
        event_id=f"{words}-target",
        guild_id=guild,
        user_id=MODERATOR,
        moderation_action_executed=event_pb2.ModerationActionExecuted(
            action_type="timeout", target_user_id=user, executor_id=MODERATOR, reason=f"{words} target, once more today"
        ),
        evidence=event_pb2.Evidence(human_validated=True),
    )
    unlabelled = correction("labelling", f"{words}-target", label="")
    unlabelled.ai_correction.correction.ClearField("corrected_label")
    statuses = {receipt.status for receipt in ingest(named, target, unlabelled, by("stored"))}
    assert statuses == {ingest_pb2.STATUS_ACCEPTED}

    for way in ("asked", "judged"):
        served.shadow.ShadowTest(
            shadow_pb2.ShadowTestRequest(
                category=SCAM, input=f"{words} {way}", request_id=f"{words}-{way}", user_id=user, guild_id=guild
            ),
            timeout=SECONDS,
        )
    served.shadow.RecordTruth(
        shadow_pb2.RecordTruthRequest(request_id=f"{words}-judged", truth="true"), timeout=SECONDS
    )
    served.shadow.RecordComparison(
        shadow_pb2.RecordComparisonRequest(
            trial_id=trial_id,
            request_id=f"{words}-compared",
            output_a=json.dumps({"isScam": True, "reasoning": f"{words} compared"}),
            output_b=json.dumps({"isScam": False, "reasoning": f"{words} compared"}),
            user_id=user,
            guild_id=guild,
        ),
        timeout=SECONDS,
    )


def others(served: Served) -> None:
    """What others send: it evicts the worst of the member's."""
    batch = [scam(f"other-{n}", f"{events.message(n)}", user=str(10**17 + n), guild=str(9 * 10**17)) for n in range(40)]
    served.ingest.Ingest(events.request(batch), timeout=SECONDS)


def examples_left(served: Served) -> int:
    request = dataset_pb2.GetTrainingStatsRequest()
    return int(served.dataset.GetTrainingStats(request, timeout=SECONDS).total_examples)


@pytest.fixture
def core(tmp_path: Path) -> Core:
    """The store before it is served: for its pseudonyms only."""
    return Core(str(tmp_path / "data"))


def plant_everywhere(served: Served, search: Search) -> None:
    """The member's traces beside those of others: all that is searched for is found, but the raw id, which never is."""
    trial = served.set_up(models.candidate(1))
    plant(served, trial.trial_id, user=MEMBER, guild=GUILD, words="zanzibar")
    others(served)
    _settle(served, trial.trial_id)
    planted = {one.partition(":")[0] for one in search.found()}
    assert planted == search.needles.keys() - {"raw id"}, search.needles.keys() - planted


@pytest.mark.timeout(600)
def test_forget_leaves_nothing_in_any_file(core: Core, tmp_path: Path) -> None:
    """Stored, replaced, evicted, superseded, waiting, asked, compared: nothing of it is left, while the server runs."""
    search = Search(tmp_path, needles(core, "user", MEMBER, "zanzibar"))
    core.close()
    with server(tmp_path) as served:
        plant_everywhere(served, search)
        before = examples_left(served)

        told = served.dataset.Forget(dataset_pb2.ForgetRequest(user_id=MEMBER), timeout=SECONDS)

        assert told.examples >= 5
        assert search.found() == set()
        assert 0 < examples_left(served) < before
        _is_audited(served, "forget")
        again = served.dataset.Forget(dataset_pb2.ForgetRequest(user_id=MEMBER), timeout=SECONDS)
        assert again.examples == 0
        assert served.process.stop() == 0
    assert search.found() == set()


@pytest.mark.timeout(600)
def test_withdrawn_consent_leaves_nothing_but_the_word(core: Core, tmp_path: Path) -> None:
    """Of the guild its word alone is left: its pseudonym in the examples' store, and nothing else anywhere."""
    search = Search(tmp_path, needles(core, "guild", GUILD, "zanzibar"))
    core.close()
    with server(tmp_path) as served:
        plant_everywhere(served, search)

        request = dataset_pb2.SetConsentRequest(guild_id=GUILD, granted=False)
        told = served.dataset.SetConsent(request, timeout=SECONDS)

        assert told.examples >= 5
        word = {"pseudonym in bytes: data/examples/data.mdb"}
        assert search.found() == word
        data = (tmp_path / "data" / "examples" / "data.mdb").read_bytes()
        # Once as the key, once in what is sealed under it.
        assert data.count(search.needles["pseudonym in bytes"]) == 2
        _is_audited(served, "consent")
        plant_again = served.ingest.Ingest(
            events.request([scam("again", "zanzibar stored", user=MEMBER, guild=GUILD)]), timeout=SECONDS
        )
        assert plant_again.receipts[0].status == ingest_pb2.STATUS_REFUSED
        assert served.process.stop() == 0
    assert search.found() == word


def _settle(served: Served, trial_id: str) -> None:
    """Wait until every pair is on disk: B is asked beside, and pairs are written soon."""
    deadline = time.monotonic() + SECONDS
    while served.report(trial_id).report.pairs < 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _is_audited(served: Served, action: str) -> None:
    """The log says that it was done, by whom, when and how much."""
    entries = [entry for entry in served.audited() if entry.action == action]
    assert len(entries) == 1
    assert entries[0].actor == "operator"
    assert entries[0].time.ToSeconds() > 0
    assert "examples of a " in entries[0].reason or "examples and " in entries[0].reason


def test_the_search_bites(tmp_path: Path) -> None:
    """A needle in any file of any folder is found, by its name."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file.bin").write_bytes(b"\0\1 needle \2")

    assert Search(tmp_path, {"it": b"needle", "other": b"none"}).found() == {"it: deep/er/file.bin"}
