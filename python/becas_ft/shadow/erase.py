"""Erases what shadow tests keep of a member or a guild; the evidence is recomputed from what is left."""

from becas_ft.ledger import WriteTransaction
from becas_ft.ledger.schema import PAIRS, REQUESTS


def erase(transaction: WriteTransaction, *, user: str = "", guild: str = "") -> list[str]:
    """Deletes requests and pairs of a pseudonym; the pseudonyms of the requests.

    Compact the ledger afterwards: free pages keep the bytes until then.
    """
    transaction.owe_rewrite()
    requests = [
        key
        for key, request in transaction.scan(REQUESTS)
        if (user and request.user == user) or (guild and request.guild == guild)
    ]
    pairs = [
        key for key, pair in transaction.scan(PAIRS) if (user and pair.user == user) or (guild and pair.guild == guild)
    ]
    for key in pairs:
        transaction.delete(PAIRS, key)
    for key in requests:
        transaction.delete(REQUESTS, key)
    return sorted({*requests, *(key.partition("/")[2] for key in pairs)})
