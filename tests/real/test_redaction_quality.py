"""Recall and precision of redaction on labelled sentences: benches/redaction_quality.py gives the verdict."""

import os
import subprocess
import sys

import pytest

from helpers.real_events import ROOT, SHARED

LABELLED = SHARED / "data" / "pii"


def test_redaction_finds_what_is_labelled() -> None:
    """Its exit status tells whether every recall and the precision are reached."""
    if not LABELLED.exists():
        if os.environ.get("BECAS_REQUIRE_SHARED"):
            pytest.fail(f"the labelled sentences are required here and {LABELLED} does not exist")
        pytest.skip(f"the labelled sentences are not here: {LABELLED}")
    command = [sys.executable, str(ROOT / "benches" / "redaction_quality.py"), "--data", str(LABELLED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
