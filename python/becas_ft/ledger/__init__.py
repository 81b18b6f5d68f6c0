"""The ledger: jobs, models, trials, audit log and published events, in one LMDB environment of their own."""

from becas_ft.ledger.ledger import (
    Ledger,
    LedgerDiskError,
    LedgerError,
    LedgerFullError,
    ReadTransaction,
    WriteTransaction,
)
from becas_ft.ledger.schema import Table

__all__ = [
    "Ledger",
    "LedgerDiskError",
    "LedgerError",
    "LedgerFullError",
    "ReadTransaction",
    "Table",
    "WriteTransaction",
]
