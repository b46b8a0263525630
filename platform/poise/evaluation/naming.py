"""Under which name a measurement is kept, so that no other one can take its place.

In: what was measured on, and how. Out: the name of its figures and of its file. Next:
``poise.cli.keeping``.
"""

import hashlib
import re
from collections.abc import Iterable


def as_name(text: str) -> str:
    """What a folder or a part of a metric's name may be called."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "model"


def measurement_name(protocol: str, changed: Iterable[str] = ()) -> str:
    """``linear-cached-v1``; where settings are not the protocol's, a digest of them follows.

    Args:
        protocol: id.
        changed: settings, as they were typed; their order does not count.
    """
    name = protocol.replace("/", "-")
    settings = "\n".join(sorted(changed))
    if not settings:
        return name
    return f"{name}-changed-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
