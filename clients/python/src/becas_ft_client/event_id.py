"""Ids that say what happened."""

MAX_BYTES = 256


def event_id(kind: str, *parts: str | int) -> str:
    """The id of a decision: the same happening always has the same one, so that it counts once.

    Arguments:
        kind: what was decided, as the event is named: `scam.detected`.
        parts: what it was decided about: the message's id; where one thing is decided about again, also when.

    Raises:
        ValueError: a part is missing or empty, or the id is over 256 bytes.
    """
    words = [kind, *(str(part) for part in parts)]
    if not parts or not all(words):
        raise ValueError(
            f"event_id of {kind!r}: name what it is about, such as a message's id, by parts that are not empty"
        )
    made = ":".join(words)
    if len(made.encode()) > MAX_BYTES:
        raise ValueError(f"event_id of {kind!r}: {len(made.encode())} bytes, at most {MAX_BYTES}: use ids, not texts")
    return made
