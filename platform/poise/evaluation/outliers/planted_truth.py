"""Compares the report on artificial outliers with the truth.

In: an ``EvaluationTask`` and ``Plant``s. Out: rows of a table. Next: a reader who asks whether the
metrics of ``poise evaluate registers`` can be trusted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from poise.config.errors import PoiseError
from poise.evaluation.outliers.measure import measure_registers
from poise.evaluation.outliers.outlier_positions import TOP_PLACES
from poise.evaluation.outliers.planted import Plant, PlantedBackbone
from poise.evaluation.report import EvaluationTask
from poise.models.backbone import VitBackbone


@dataclass(frozen=True)
class Recovered:
    """One property of the artificial outliers: its true value and its value in the report."""

    fact: str
    truth: str
    """True value, as a number with its unit or in words."""

    found: str
    """Value in the report, or ``-`` if the report has no value."""


def recover(task: EvaluationTask, plant: Plant) -> Iterator[Recovered]:
    """Puts artificial outliers into the task's backbone, and compares the report with the truth.

    Raises:
        PoiseError: the backbone is not a ``VitBackbone``.
    """
    backbone = task.backbone
    if not isinstance(backbone, VitBackbone):
        raise PoiseError(
            f"{type(backbone).__name__}: outliers can be planted into a VitBackbone alone"
        )
    planted = PlantedBackbone(backbone, plant)
    report = measure_registers(replace(task, backbone=planted))
    found = {figure.name: figure.value for figure in report.figures_found}
    num_patches = (task.image_px // backbone.patch_px) ** 2
    yield _row("share of patches, %", 100 * plant.count / num_patches, found, "outlier_share")
    yield _row("images with outliers, %", 100, found, "outlier_images")
    yield _row("norm", plant.norm, found, "norm_outlier")
    yield _row("first block", plant.first_block, found, "first_block")
    yield from _places(plant, num_patches, found)
    yield from _contents(plant, found)


def _places(plant: Plant, num_patches: int, found: Mapping[str, float]) -> Iterator[Recovered]:
    if plant.where == "fixed":
        truth = 100 * min(1, TOP_PLACES / plant.count)
        yield _row("at the ten commonest places, %", truth, found, "places_concentration")
        return
    # The flattest of N have the ranks N − 1, N − 2 …, on a scale to 100.
    flattest = 100 * (1 - (plant.count - 1) / 2 / max(1, num_patches - 1))
    truth = flattest if plant.where == "flat" else 50.0
    yield _row("rank in flatness, mean", truth, found, "flatness_rank_outlier")


def _contents(plant: Plant, found: Mapping[str, float]) -> Iterator[Recovered]:
    """Compares how well probes read artificial outliers and tokens with the same content.

    Both should give the same result. For an outlier without content, the expected result is that of
    a guess.
    """
    # [cls] predicts some of the flat places and of the colours of its image, so it is left out.
    if plant.holds != "image":
        twin = "error_ordinary" if plant.holds == "patch" else "guess_outlier"
        words = "an ordinary token's" if plant.holds == "patch" else "the best constant guess's"
        for what in ("position", "pixel"):
            names = (f"{what}_{twin}", f"{what}_error_outlier")
            yield from _same(f"error of {what}", words, *names, found)
    twins = {
        "image": ("[cls]'s", "class_top1_cls"),
        "patch": ("an ordinary token's", "class_top1_ordinary"),
        "nothing": ("chance", "class_chance"),
    }
    words, twin = twins[plant.holds]
    yield from _same("class, top-1 %", words, twin, "class_top1_outlier", found)


def _same(
    fact: str, words: str, expected: str, name: str, found: Mapping[str, float]
) -> Iterator[Recovered]:
    if expected in found and name in found:
        yield Recovered(fact, f"{words}: {found[expected]:.4g}", f"{found[name]:.4g}")


def _row(fact: str, truth: float, found: Mapping[str, float], name: str) -> Recovered:
    return Recovered(fact, f"{truth:.4g}", f"{found[name]:.4g}" if name in found else "-")
