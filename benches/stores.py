"""Filled stores, made once and kept: full at the default capacity, and growing ones of several sizes."""

from __future__ import annotations

import collections
import hashlib
import itertools
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import events
import variation
from becas.ft.v1 import dataset_pb2, example_pb2
from becas_ft._core import Core
from peers.drafts import draft

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench import Bench

CAPACITY = 50_000
CATEGORIES = 14
BATCH = 1_000
#: More than anything here stores: such a store only grows.
ROOMY = 10_000_000
#: Passes of `events.fresh` that no filled store has seen begin here.
UNSEEN_PASS = 100_000
_AHEAD = 8
_LAYOUT = Path(__file__).resolve().parent.parent / "rust" / "becas-core" / "src" / "store"


def full_capacity(bench: Bench) -> int:
    """Examples in each category of a full store."""
    return bench.size(CAPACITY, 500)


def full_settings(bench: Bench) -> dict[str, str]:
    """The settings of a server over a full store."""
    return {"BECAS_FT_STORE__CAPACITY": str(full_capacity(bench))}


def full(bench: Bench) -> Path:
    """A data folder whose every category holds as much as fits: 700,000 examples."""
    capacity = full_capacity(bench)
    return _kept(bench, f"full-{capacity}", lambda path: _fill_up(path, capacity))


def growing(bench: Bench, examples: int) -> Path:
    """A data folder with at least so many examples in the mix of the events, and room for many more."""
    return _kept(bench, f"growing-{examples}", lambda path: _grow(path, examples))


def roomy() -> dict[str, str]:
    """The settings of a server over a growing store."""
    return {"BECAS_FT_STORE__CAPACITY": str(ROOMY)}


def stats(core: Core) -> dataset_pb2.GetTrainingStatsResponse:
    """GetTrainingStats."""
    return dataset_pb2.GetTrainingStatsResponse.FromString(core.stats())


def stored(core: Core) -> int:
    """Examples in the store, those that corrections superseded included."""
    return sum(_held(core).values())


def exported(core: Core, **request: object) -> Iterator[bytes]:
    """JSON lines of an export, unbalanced unless the request says otherwise."""
    wanted = dataset_pb2.ExportRequest(name="bench", **({"balance": False} | request))  # type: ignore[arg-type]
    data = b"".join(
        dataset_pb2.ExportResponse.FromString(part).data for part in core.export(wanted.SerializeToString())
    )
    yield from data.splitlines()


def _held(core: Core) -> dict[int, int]:
    return {category.category: category.total + category.superseded for category in stats(core).categories}


def _kept(bench: Bench, name: str, fill: object) -> Path:
    """A store from the last time if it was made by the same layout from the same events, else a new one."""
    path = bench.folder / "stores" / name
    digest = hashlib.sha256()
    layout = ("schema.rs", "codec.rs", "fields.rs", "remembered.rs", "counters.rs")
    made_by = (Path(module) for module in (events.__file__, variation.__file__, __file__))
    for source in (*(_LAYOUT / name for name in layout), *made_by):
        digest.update(source.read_bytes())
    digest.update(events.source().encode())
    mark = path.with_suffix(".made")
    if not (path.exists() and mark.exists() and mark.read_text() == digest.hexdigest()):
        shutil.rmtree(path, ignore_errors=True)
        mark.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with bench.console.status(f"filling a store: {name}"):
            assert callable(fill)
            fill(path)
        mark.write_text(digest.hexdigest())
    return path


def _open(path: Path, capacity: int) -> Core:
    return Core(str(path), json.dumps({"store": {"capacity": capacity}}))


def _send(core: Core, encoded: Iterable[bytes]) -> None:
    """Ingest everything, a few requests ahead of their commits."""
    waiting: collections.deque[object] = collections.deque()
    iterator = iter(encoded)
    while request := events.encode_request(itertools.islice(iterator, BATCH)):
        waiting.append(core.submit(request))
        if len(waiting) >= _AHEAD:
            waiting.popleft().wait()  # type: ignore[attr-defined]
    for submitted in waiting:
        submitted.wait()  # type: ignore[attr-defined]


def _close(core: Core) -> None:
    """A server judges corrections as they come; one that found all of them at its start would do so while measured."""
    core.outbox_trim(core.outbox_end())
    core.close()


def _grow(path: Path, examples: int) -> None:
    core = _open(path, ROOMY)
    encoded = events.fresh()
    while (missing := examples - stored(core)) > 0:
        _send(core, itertools.islice(encoded, max(missing, BATCH)))
    _close(core)


def _fill_up(path: Path, capacity: int) -> None:
    """Pass after pass, in the end only with events of categories that are not full yet."""
    by_category: dict[int, list[int]] = collections.defaultdict(list)
    for place, event in enumerate(events.originals()):
        category = example_pb2.Category.Value(f"CATEGORY_{draft(event).category.upper()}")
        by_category[category].append(place)
    assert len(by_category) == CATEGORIES, f"events of {len(by_category)} categories only: a full store needs all"
    corrections = example_pb2.CATEGORY_HUMAN_CORRECTION
    core = _open(path, capacity)
    for number in itertools.count():
        held = _held(core)
        lacking = {category for category in by_category if held.get(category, 0) < capacity}
        if not lacking:
            break
        # What a correction names must have come before it.
        sent = by_category if corrections in lacking else lacking
        chosen = sorted(place for category in sent for place in by_category[category])
        _send(core, itertools.islice(events.fresh(number, chosen), len(chosen)))
    _close(core)
