"""Says what measures a figure that a version lacks.

In: the name of a figure, and a version. Out: a sentence with the command. Next: the gates of `poise
models promote`.
"""

import re

from poise.tracking.registry.version import Version

_KNN = re.compile(r"(^|/)(\w+_)?k\d+_top[15]$")
"""Name that only k-NN gives to a figure, such as ``k20_top1``."""

_EVALUATION = re.compile(
    r"(?:^probe/[^/]+/|\*/|^(?=attention/))(knn|linear|attentive|finetune|attention|registers|"
    r"objects|masks|segmentation|retrieval|copies|video|map)\b"
)
"""Beginning of a figure's name. The first part of a protocol is also a command of `poise evaluate`.
The names of ``poise evaluate attention`` have no ``probe/DATASET`` before it.
"""

_OF_TRAINING = re.compile(r"(?!probe/)[\w-]+/")


def advice(wanted: str, version: Version) -> str:
    """Says that a figure is missing, and what measures such figures.

    Args:
        wanted: name of the figure. ``*`` stands for any text.
        version: version that lacks the figure.
    """
    command = _command(wanted)
    if command is not None:
        needed = " --train TRAIN" if command == "segmentation" else ""
        words = f"poise evaluate {command} {version.uri} DATASET{needed}"
        return f"{wanted} is not measured; try `{words}`"
    if _OF_TRAINING.match(wanted) and "imported_from" not in version.tags:
        return f"{wanted} is not measured; training measures it, as the recipe's evaluation says"
    return f"{wanted}: {version.short} has no such figure; docs/registry.md says what measures them"


def _command(wanted: str) -> str | None:
    if _KNN.search(wanted):
        return "knn"
    found = _EVALUATION.search(wanted)
    return found[1] if found else None
