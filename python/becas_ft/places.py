"""Which of many values are shown."""

import numpy as np


def thin(count: int, most: int) -> list[int]:
    """At most so many places among `count`, evenly spread, the first and the last among them."""
    return sorted({int(place) for place in np.linspace(0, count - 1, min(count, most))}) if count else []
