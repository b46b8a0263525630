"""Numbers that JSON has no word for.

In: a float. Out: what JSON may hold of it, and the same float again. Next: whoever keeps metrics in
files: a diverged run has losses that are no numbers, and other readers than Python refuse a file
with a bare ``NaN``.
"""

import math


def to_json(value: float) -> float | str:
    """The number itself, or ``"nan"``, ``"inf"`` or ``"-inf"``; ``float`` reads either."""
    return value if math.isfinite(value) else str(float(value))
