"""Files of a study that are read whole, whatever ended the process that wrote them.

In: plain values. Out: JSON that is either whole or absent. Next: ``poise.studies.study``,
``poise.studies.records``, ``poise.sweeps.budget`` and ``poise.studies.standing``.
"""

import json
import math
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from poise.config import PoiseError


def write_json(path: Path, content: Any) -> None:
    """Writes a file that is either whole or absent. What is not finite is null: JSON has no NaN.

    Of several processes, perhaps on several machines, that write it at once, the last one's stays.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    text = json.dumps(_finite(content), indent=2, allow_nan=False)
    try:
        partial.write_text(f"{text}\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """The content of a file that ``write_json`` wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise PoiseError(f"{path}: cannot be read: {error}") from None


def lacking(error: Exception, kind: str) -> str:
    """What is wrong with a file that should hold something of this kind, in a few words."""
    if isinstance(error, KeyError):
        return f"it has no '{error.args[0]}'"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    _, made_of_fields, complaint = str(error).partition("__init__() ")
    return complaint if made_of_fields else f"it is no {kind}"


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def to_json(value: float) -> float | str:
    """The number itself, or ``"nan"``, ``"inf"`` or ``"-inf"``; ``float`` reads either."""
    return value if math.isfinite(value) else str(float(value))
