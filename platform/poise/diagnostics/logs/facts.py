"""Facts about a log, from the user or from the columns of the log.

In: options of `poise judge`. Out: complete ``Facts``, or an error that names the missing option.
Next: ``diagnostics/logs/judging.py``.
"""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from poise.config.errors import PoiseError
from poise.config.metrics import GLOBAL_PAIRS, LOCAL_PAIRS, RECONSTRUCTION, TEACHER
from poise.diagnostics.logs.log import Log
from poise.diagnostics.logs.meaning.sources import Source

ObjectiveName = Literal["dino", "mae"]

_PROTOTYPES = ("objective.num_prototypes", "out_dim", "dino.head_n_prototypes")
_BATCH = ("training.batch_size",)


@dataclass(frozen=True)
class Facts:
    """Settings of a run that its log may not contain. None means that a setting is unknown."""

    objective: ObjectiveName | None = None
    prototypes: int | None = None
    """Number of prototypes K of DINO's head."""

    batch_size: int | None = None
    """Number of images in a batch, over all workers."""

    planned_steps: int | None = None
    """Planned length of the run, in the unit of the log (steps, epochs or rows)."""

    normalized_targets: bool = False
    """Whether MAE predicts normalised patches (``--norm_pix_loss``)."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    """Maps each metric to the columns of the log that the user named for it."""


def completed(facts: Facts, log: Log, found: Collection[str]) -> Facts:
    """Adds the facts that follow from the settings and columns of the log.

    Args:
        facts: facts from the user.
        log: log with its settings.
        found: metrics that were found in the log.

    Raises:
        PoiseError: the objective remains unknown, or two facts contradict each other.
    """
    facts = replace(
        facts,
        prototypes=facts.prototypes or _setting(log, _PROTOTYPES),
        batch_size=facts.batch_size or _setting(log, _BATCH),
    )
    facts = replace(facts, objective=facts.objective or _objective(facts, log, found))
    _check(facts, log)
    return facts


def _setting(log: Log, names: Collection[str]) -> int | None:
    texts = [log.settings[name] for name in names if name in log.settings]
    return next((int(text) for text in texts if text.isdecimal()), None)


def _objective(facts: Facts, log: Log, found: Collection[str]) -> ObjectiveName:
    """Returns the objective, or raises an error if it is uncertain.

    Only DINO has prototypes and a teacher. Only MAE predicts pixels.
    """
    is_dino = facts.prototypes is not None or bool(
        {*TEACHER, *GLOBAL_PAIRS, *LOCAL_PAIRS} & set(found)
    )
    is_mae = facts.normalized_targets or bool({*RECONSTRUCTION} & set(found))
    if is_dino != is_mae:
        return "dino" if is_dino else "mae"
    why = "its metrics belong to both" if is_dino else "its loss may be of any"
    command = f"poise judge {shlex.quote(log.source)}"
    raise PoiseError(
        f"{log.source}: which objective was trained? {why}; give {command} --objective dino "
        f"--prototypes K, or {command} --objective mae"
    )


def _check(facts: Facts, log: Log) -> None:
    if facts.objective == "mae" and facts.prototypes is not None:
        raise PoiseError(
            f"{log.source}: --objective mae has no prototypes; leave --prototypes out, or give "
            "--objective dino"
        )
    if facts.objective == "dino" and facts.normalized_targets:
        raise PoiseError(f"{log.source}: --norm-pix-loss is for --objective mae")
    last = log.history[-1][0]
    if facts.planned_steps is not None and facts.planned_steps < last:
        raise PoiseError(
            f"{log.source}: --planned-steps {facts.planned_steps} is below its last {log.unit} "
            f"{last}; give the length of the plan in {log.unit}s, or leave it out"
        )
