"""Finds out which columns of a log are metrics of Poise.

In: a ``Log``, and columns that the user named. Out: the ``Source`` (columns) of every metric. Next:
``diagnostics/logs/meaning/derived.py``.

Three kinds of names are known. First, Poise's own names, with ``/``, ``_``, ``.`` or ``-``, and
perhaps with ``train`` in front. Second, the losses of the published DINO, DINOv2, DINOv3 and MAE.
Third, the usual names of a loss. Nothing else is guessed. If no column or several columns may be
the loss, the error asks the user.
"""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence

from poise.config.errors import PoiseError, first_few
from poise.config.metrics import METRICS, OVER_LN_K
from poise.diagnostics.logs.log import Log
from poise.diagnostics.logs.meaning.sources import Source, column

_LOCAL, _GLOBAL = "dino_local_crops_loss", "dino_global_crops_loss"
_TOTAL = "total_loss"
_LOCAL_WEIGHT = "dino_local_loss_weight"
_LOCAL_CROPS = 8

_CROSS_ENTROPY = "teacher/cross_entropy"
_LOSS = "loss/total"
_LOSSES = (_LOSS, _CROSS_ENTROPY, "loss/over_ln_k", "loss/over_mean_patch")
_JUDGED = (*_LOSSES, *OVER_LN_K, *OVER_LN_K.values(), "features/rankme")
"""Metrics that a verdict can use. A log must contain at least one of these metrics."""

_USUAL_LOSSES = {"loss_train"} | {
    f"{part}{loss}{mean}"
    for part in ("", "train_", "training_")
    for loss in ("loss", "total_loss")
    for mean in ("", "_step", "_epoch")
}
"""Usual names of the training loss. In these names, `_` stands for every character that is not a
letter or digit.
"""

_UNLIKE_A_LOSS = {"val", "valid", "test", "eval", "time", "epoch", "lr", "wd"}


def find_sources(log: Log, given: Mapping[str, Source]) -> dict[str, Source]:
    """Returns the source of every metric that is found.

    Args:
        log: log with its own names.
        given: sources that the user named, which replace all others.

    Raises:
        PoiseError: a named column does not exist, several columns may be the loss, or no column is
            a known metric.
    """
    columns = log.columns
    _check_columns(log, given, columns)
    found: dict[str, Source] = {**_own_names(columns), **_published(columns), **given}
    if not {*_LOSSES} & found.keys():
        loss = _usual_loss(log, columns)
        found |= {_LOSS: column(loss)} if loss else {}
    if not {*_JUDGED} & found.keys():
        raise _nothing_known(log, columns)
    return found


def _check_columns(log: Log, given: Mapping[str, Source], columns: Collection[str]) -> None:
    for metric, source in given.items():
        for name in source.columns:
            if name not in columns:
                raise PoiseError(
                    f"{log.source}: --metric {metric}={name}: it has no such column of numbers; "
                    f"there are {_by_likeness(columns)}"
                )


def _own_names(columns: Collection[str]) -> dict[str, Source]:
    plain = {_plain(metric): metric for metric in sorted(METRICS)}
    found: dict[str, Source] = {}
    for name in columns:
        metric = name if name in METRICS else plain.get(_plain(name))
        if metric is not None and (metric not in found or name == metric):
            found[metric] = column(name)
    starts = {name: column(name) for name in columns if name.startswith("start/")}
    return found | starts


def _plain(name: str) -> str:
    return _signs(name).removeprefix("train_")


def _published(columns: Collection[str]) -> dict[str, Source]:
    """Returns the source of the cross-entropy in logs of DINOv2 and DINOv3.

    The result is the mean over all pairs of views.

    DINOv2 logs two parts, which add up to the mean. Without local crops, DINOv2 logs two thirds of
    the mean. DINOv3 logs two means, which are weighted here with its published number of local
    crops.
    """
    if _GLOBAL not in columns:
        return {}
    if _LOCAL not in columns:
        weights = {_GLOBAL: 1.5}
    elif _LOCAL_WEIGHT in columns:
        pairs = _LOCAL_CROPS + 1
        weights = {_LOCAL: _LOCAL_CROPS / pairs, _GLOBAL: 1 / pairs}
    else:
        weights = {_LOCAL: 1.0, _GLOBAL: 1.0}
    total = (
        {_LOSS: column(_TOTAL)} if _TOTAL in columns else {}
    )  # shows whether another part of the loss diverged
    return {_CROSS_ENTROPY: Source(weights), **total}


def _usual_loss(log: Log, columns: Collection[str]) -> str | None:
    losses = [name for name in columns if _signs(name) in _USUAL_LOSSES]
    steps = [name for name in losses if not name.endswith("_epoch")]
    losses = steps or losses  # the log has the loss of each step, and also the mean of each epoch
    if len(losses) > 1:
        commands = [_command(log, name) for name in losses]
        raise PoiseError(
            f"{log.source}: {len(losses)} columns may be the loss; name one: "
            f"{' or '.join(commands)}"
        )
    return losses[0] if losses else None


def _signs(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _command(log: Log, name: str) -> str:
    return f"poise judge {shlex.quote(log.source)} --metric {shlex.quote(f'loss={name}')}"


def _nothing_known(log: Log, columns: Collection[str]) -> PoiseError:
    if not columns:
        return PoiseError(f"{log.source}: has no column of numbers beside its {log.unit}s")
    likely = _ordered(columns)
    return PoiseError(
        f"{log.source}: no column is a metric that is judged; name the loss, for example "
        f"{_command(log, likely[0])} (columns: {first_few(likely)})"
    )


def _by_likeness(columns: Collection[str]) -> str:
    return first_few(_ordered(columns))


def _ordered(columns: Collection[str]) -> Sequence[str]:
    """Sorts the columns, so that columns similar to a training loss come first."""

    def unlikeness(name: str) -> tuple[bool, bool]:
        words = set(_signs(name).split("_"))
        return "loss" not in name.lower(), bool(words & _UNLIKE_A_LOSS)

    return sorted(columns, key=unlikeness)
