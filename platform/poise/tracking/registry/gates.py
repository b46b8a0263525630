"""Checks the conditions (gates) that a version must meet to get an alias.

In: gates, the version, and the version that has the alias now. Out: one result for each gate. Next:
``poise.tracking.registry.promotion``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from poise.config.errors import PoiseError
from poise.config.gates import Gates, KnnGate
from poise.config.wording import listed
from poise.diagnostics.judge.forgetting import paired_loss
from poise.tracking.registry.missing_figures import advice
from poise.tracking.registry.paired_differences import (
    AllAnswers,
    Difference,
    difference,
    read_answers,
)
from poise.tracking.registry.version import Version
from poise.tracking.store import Store

_OUTLIERS = "patches/outlier_share"
_FORGOTTEN, _LEARNED, _QUERIES = "eval/knn_forgotten", "eval/knn_learned", "eval/knn_queries"


@dataclass(frozen=True)
class GateResult:
    """Result of one gate for one version."""

    gate: str
    """Name of the gate, as in the gates file."""

    passed: bool
    reason: str
    """Sentence that explains the result with its numbers."""


def check_gates(
    store: Store, gates: Gates, version: Version, holder: Version | None
) -> list[GateResult]:
    """Checks every gate that the gates file contains.

    Args:
        store: store of both versions.
        gates: conditions for the alias.
        version: version that may get the alias.
        holder: version that has the alias now, or None if no version has the alias.
    """
    results = [*_verdict(gates, version), *_evaluations(gates, version)]
    if gates.knn is not None:
        results.append(_knn(store, gates.knn, version, holder))
    if gates.max_outlier_growth is not None:
        results.append(_outliers(gates.max_outlier_growth, version, holder))
    if gates.max_forgotten_points is not None and "initial_weights" in version.tags:
        results.append(_forgetting(gates.max_forgotten_points, version))
    return results


def _verdict(gates: Gates, version: Version) -> Iterator[GateResult]:
    if gates.verdicts:
        verdict = version.tags.get("verdict", "unknown: nobody judged its training")
        yield GateResult("verdicts", verdict in gates.verdicts, f"its verdict is {verdict}")


def _evaluations(gates: Gates, version: Version) -> Iterator[GateResult]:
    for wanted in gates.evaluations:
        found = _matching(version, wanted)
        reason = f"{wanted}: {version.figures[found[0]]}" if found else advice(wanted, version)
        yield GateResult("evaluations", bool(found), reason)


def _knn(store: Store, gate: KnnGate, version: Version, holder: Version | None) -> GateResult:
    if holder is None:
        return GateResult("knn", True, "no other version has the alias")
    answers = read_answers(store, holder), read_answers(store, version)
    found = _difference(gate, holder, version, answers)
    measure = (
        f"measure both with one bank: `poise evaluate knn {holder.uri} TEST --bank TRAIN`, then "
        f"`poise evaluate knn {version.uri} TEST --bank TRAIN`"
    )
    if found is None:
        reason = f"{holder.short} and this version have no k-NN on the same images with one bank"
        return GateResult("knn", False, f"{reason}; {measure}")
    metric, change = found
    passed = change.low >= -gate.margin_points
    limit = f"the lower end must be at least {-gate.margin_points:g}"
    kind = f"paired over {change.images} images" if change.is_paired else (
        "not paired, because no answers to the same images with one bank were kept"
    )  # fmt: skip
    fix = "" if passed or change.is_paired else f"; for a smaller interval, {measure}"
    reason = f"{metric} is {change} points from that of {holder.short}, {kind}; {limit}{fix}"
    return GateResult("knn", passed, reason)


def _difference(
    gate: KnnGate, holder: Version, version: Version, answers: tuple[AllAnswers, AllAnswers]
) -> tuple[str, Difference] | None:
    """Finds the first metric that both versions have, and the difference in this metric.

    A metric whose difference is computed image by image is preferred.
    """
    found = []
    for wanted in gate.metrics:
        for metric in _matching(version, wanted):
            change = difference(holder, version, metric, answers)
            if change is not None:
                found.append((metric, change))
    return next((each for each in found if each[1].is_paired), found[0] if found else None)


def _outliers(most: float, version: Version, holder: Version | None) -> GateResult:
    name = "max_outlier_growth"
    if holder is None:
        return GateResult(name, True, "no other version has the alias")
    before, now = holder.figures.get(_OUTLIERS), version.figures.get(_OUTLIERS)
    if now is None or before is None:
        lacking = [each for each in (holder, version) if _OUTLIERS not in each.figures]
        return _without_outliers(name, lacking)
    growth = now.value - before.value
    reason = f"{_OUTLIERS} went from {before.value:.4g} to {now.value:.4g}; the limit is +{most:g}"
    return GateResult(name, growth <= most, reason)


def _without_outliers(gate: str, lacking: Sequence[Version]) -> GateResult:
    """Fails the gate, unless no version without the figure has patch tokens."""
    names = {each.short: each.tags.get("backbone", "") for each in lacking}
    unmeasured = [short for short, name in names.items() if not _has_no_patch_tokens(name)]
    if not unmeasured:
        backbones = listed(dict.fromkeys(names.values()))
        return GateResult(gate, True, f"{backbones}: without patch tokens")
    reason = (
        f"{unmeasured[-1]} has no {_OUTLIERS}, which Poise measures only while it trains; a "
        f"gates file with `{gate}: null` skips this gate"
    )
    return GateResult(gate, False, reason)


def _has_no_patch_tokens(backbone: str) -> bool:
    from poise.models.timm_models import family  # loads timm

    try:
        return family(backbone) == "resnet"
    except PoiseError:  # a model of another program
        return False


def _forgetting(most: float, version: Version) -> GateResult:
    name, figures = "max_forgotten_points", version.figures
    if any(each not in figures for each in (_FORGOTTEN, _LEARNED, _QUERIES)):
        reason = (
            "it started from a trained model, and nobody measured what it forgot; this is measured "
            "during training if the recipe sets evaluation.queries and evaluation.every_epochs"
        )
        return GateResult(name, False, reason)
    loss, low, high = paired_loss(
        figures[_FORGOTTEN].value, figures[_LEARNED].value, int(figures[_QUERIES].value)
    )
    start = version.tags["initial_weights"]
    reason = (
        f"k-NN is {-loss:+.1f} ({-high:+.1f} to {-low:+.1f}) points from that of {start}; "
        f"the loss must not be above {most:g} for sure"
    )
    return GateResult(name, low <= most, reason)


def _matching(version: Version, wanted: str) -> list[str]:
    return [name for name in sorted(version.figures) if fnmatchcase(name, wanted)]
