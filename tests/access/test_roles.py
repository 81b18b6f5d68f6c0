"""The one table of roles."""

import re
from pathlib import Path

from becas_ft.access.roles import OPEN, ROLES, Role, may_call, may_label

ROOT = Path(__file__).resolve().parents[2]


def rpcs() -> set[str]:
    """Every RPC of every service file."""
    found = set()
    for path in (ROOT / "proto" / "becas" / "ft" / "v1").glob("*_service.proto"):
        text = path.read_text(encoding="utf-8")
        (service,) = re.findall(r"^service (\w+)", text, re.MULTILINE)
        found |= {f"/becas.ft.v1.{service}/{name}" for name in re.findall(r"^  rpc (\w+)", text, re.MULTILINE)}
    return found


def allowed(role: Role) -> set[str]:
    """What a role may call of becas, by its name alone."""
    return {method.rpartition("/")[2] for method in rpcs() if may_call(role, method)}


def test_every_rpc_has_its_row() -> None:
    """An RPC without a row, or a row without an RPC, is a mistake; what is not in the table is the admin's alone."""
    assert len(rpcs()) > 20
    assert {method for method in ROLES if method.startswith("/becas.")} == rpcs()
    assert not OPEN & ROLES.keys()
    assert [role for role in Role if may_call(role, "/becas.ft.v1.NewService/New")] == [Role.ADMIN]


def test_what_each_role_may() -> None:
    """A bot gives and asks, a labeller labels, an operator does all but erase; the admin may everything."""
    everything = {method.rpartition("/")[2] for method in rpcs()}

    assert allowed(Role.BOT) == {
        *("Ingest", "IngestStream", "ShadowTest", "RecordTruth", "RecordComparison", "Subscribe"),
    }
    assert allowed(Role.LABELLER) == {
        *("Ingest", "IngestStream", "ListDisagreements", "RecordTruth", "Subscribe"),
        *("GetTrainingStats", "GetPipelineStats", "GetShadowStats", "GetQualityHistogram", "GetIngestRate"),
    }
    assert allowed(Role.OPERATOR) == everything - {"Forget", "SetConsent", "Backup"}
    assert allowed(Role.ADMIN) == everything
    assert {role for role in Role if may_label(role)} == {Role.LABELLER, Role.OPERATOR, Role.ADMIN}
