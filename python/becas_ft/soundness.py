"""Whether what a data directory holds is whole.

Each store is read in a process of its own: where a page of LMDB's tree is damaged, reading it may end the process, and
that is told like any other finding.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import lmdb

from becas_ft._core import Core, CoreError
from becas_ft.files import sha256_of
from becas_ft.ledger import Ledger, LedgerError
from becas_ft.rollout import audit
from becas_ft.runtime.registry import ADAPTER_FILE, MODEL_FILE
from becas_ft.shadow.truth import OUTBOX_CURSOR

_EXAMPLES: Final = "examples"
_LEDGER: Final = "ledger"
_MODELS: Final = "models"


def problems(data_dir: Path, key_path: str = "", *, repair: bool = False) -> list[str]:
    """Everything that is wrong, a line each, beginning with the part that it is in; no text or raw id in them.

    Arguments:
        data_dir: of a server that does not run.
        key_path: the key file; `becas.key` in the directory where empty.
        repair: drop what is damaged of the examples.
    """
    found: list[str] = []
    cursors: dict[str, int] = {}
    for part in (_EXAMPLES, _LEDGER):
        if (data_dir / part).is_dir():
            said = _asked(part, data_dir, key_path, repair=repair)
            found += [f"{part}: {problem}" for problem in said["problems"]]
            if said.get("cursor") is not None:
                cursors[part] = said["cursor"]
    if len(cursors) == 2 and cursors[_LEDGER] > cursors[_EXAMPLES]:  # noqa: PLR2004 - both stores
        found.append(f"{_LEDGER}: it has seen corrections that {_EXAMPLES} never had: the two are not of one backup")
    return [*found, *_models(data_dir / _MODELS)]


def _asked(part: str, data_dir: Path, key_path: str, *, repair: bool) -> dict[str, Any]:
    """What a process of its own found in a part."""
    command = [sys.executable, "-m", __name__, part, str(data_dir), key_path, "repair" if repair else ""]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        why = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return {"problems": [f"reading it ended the process ({why}): it is damaged, restore a backup"]}
    return said


def _examples(data_dir: Path, key_path: str, *, repair: bool) -> dict[str, Any]:
    try:
        core = Core(str(data_dir), "{}", key_path)
    except CoreError as error:
        return {"problems": [_words(error)]}
    try:
        return {"problems": core.repair() if repair else core.verify(), "cursor": core.outbox_end()}
    except CoreError as error:
        return {"problems": [_words(error)]}
    finally:
        core.close()


def _ledger(data_dir: Path, key_path: str, *, repair: bool) -> dict[str, Any]:
    del key_path, repair
    try:
        ledger = Ledger(data_dir / _LEDGER)
    except (LedgerError, lmdb.Error) as error:
        return {"problems": [_words(error)]}
    try:
        found = ledger.read(lambda transaction: transaction.problems())
        if not found:
            chain = ledger.read(lambda transaction: audit.check(audit.entries(transaction)))
            if chain.broken is not None:
                found = [f"the audit log's chain is broken at entry {chain.broken}"]
        return {"problems": found, "cursor": ledger.read(lambda transaction: transaction.number(OUTBOX_CURSOR))}
    except (LedgerError, lmdb.Error) as error:
        return {"problems": [_words(error)]}
    finally:
        ledger.close()


def _words(error: Exception) -> str:
    return ": ".join(str(part) for part in error.args) or type(error).__name__


def _models(folder: Path) -> list[str]:
    """Models of the embedded runtime whose adapter is not what it was."""
    found = []
    for record in sorted(folder.glob(f"*/{MODEL_FILE}")):
        name = record.parent.name
        try:
            digest = json.loads(record.read_text(encoding="utf-8"))["adapter_digest"]
            if digest is not None and sha256_of(record.parent / ADAPTER_FILE) != digest:
                found.append(f"{_MODELS}: {name}: its adapter is not the one that it was made with")
        except (OSError, ValueError, TypeError, KeyError):
            found.append(f"{_MODELS}: {name}: it cannot be read")
    return found


_PARTS: Final[dict[str, Callable[..., dict[str, Any]]]] = {_EXAMPLES: _examples, _LEDGER: _ledger}

if __name__ == "__main__":
    _part, _directory, _key, _repair = sys.argv[1:]
    sys.stdout.write(json.dumps(_PARTS[_part](Path(_directory), _key, repair=bool(_repair))))
