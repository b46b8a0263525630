"""The labelled runs: what was done to each, and which verdicts are right for it.

In: nothing. Out: ``RUNS``. Next: ``record.py`` trains them, ``score.py`` judges them.

A label comes from the cause alone: what is known to happen when a part of the method is taken
away (DINO, arXiv 2104.14294, section 5.3 and its appendix), never from what the judge or the
metrics say. Where a cause can end in more than one way, as the paper leaves open, each is right.
What was made to be healthy must also have kept its k-NN: ``score.py`` holds it to that.
"""

import itertools
from dataclasses import dataclass

from poise.diagnostics.judge import VerdictKind

HEALTHY = (VerdictKind.HEALTHY,)
UNIFORM = (VerdictKind.UNIFORM,)
ONE = (VerdictKind.SINGLE_PROTOTYPE,)
ANY_COLLAPSE = tuple(kind for kind in VerdictKind if kind.startswith("collapsed"))
LOST = (
    *(VerdictKind.DIVERGED, VerdictKind.SWINGING, VerdictKind.COPIED_TEACHER),
    *ANY_COLLAPSE,
)
STUCK = (VerdictKind.STUCK,)
MEAN = (VerdictKind.PREDICTS_MEAN,)
STAYS = (VerdictKind.UNMOVED_TEACHER,)

DATASETS = ("scenes", "cifar10")
RECIPES = {
    ("dino", "scenes"): ("pipelines/recipes/dino_scenes_demo.yaml", 6),
    ("dino", "cifar10"): ("pipelines/recipes/dino_vit_cifar10_cpu.yaml", 5),
    ("mae", "scenes"): ("pipelines/recipes/mae_scenes.yaml", 10),
    ("mae", "cifar10"): ("pipelines/recipes/mae_vit_cifar10_cpu.yaml", 8),
    ("mae", "few scenes"): ("pipelines/recipes/mae_scenes.yaml", 12),
    ("dino", "photographs"): ("tests/corpus/dino_photographs.yaml", 18),
}
"""The recipe and its epochs: about 390 steps of DINO, 270 of photographs, 630 of MAE, 192 of MAE on
few scenes."""

IMAGES = {"few scenes": ("data.dataset=data/scenes-1024",)}
"""Images that the recipe does not name:
``poise data prepare scenes data/scenes-1024 --num-images 1024 --seed 0``.
"""

BACKBONES = {
    "vit": (),
    "resnet": (
        "backbone.name=resnet10t",
        "backbone.options={channels: [32,64,96,128], stem_width: 16}",
    ),
}


@dataclass(frozen=True)
class LabelledRun:
    """One run to record."""

    objective: str
    dataset: str
    backbone: str
    cause: str
    right: tuple[VerdictKind, ...]
    """Verdicts that name it right."""

    changes: tuple[str, ...]
    length: int = 1
    """How many times the epochs of most runs."""

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.dataset}-{self.backbone}-{self.cause}".replace(" ", "-")

    @property
    def recipe(self) -> tuple[str, tuple[str, ...]]:
        """The recipe's file, and each changed setting once: a cause may change its length too."""
        path, epochs = RECIPES[self.objective, self.dataset]
        length = f"training.epochs={epochs * self.length}"
        images = IMAGES.get(self.dataset, ())
        changes = (length, *images, *BACKBONES[self.backbone], *self.changes)
        return path, tuple({each.partition("=")[0]: each for each in changes}.values())


def _temp(value: float) -> tuple[str, ...]:
    return (f"objective.teacher_temp={value}", f"objective.warmup_teacher_temp={value}")


def _momentum(value: float) -> tuple[str, ...]:
    return (f"objective.teacher_momentum={value}", f"objective.final_teacher_momentum={value}")


def _warm(start: float, end: float) -> tuple[str, ...]:
    """The teacher's temperature in the first three of the run's five or six epochs."""
    return (
        f"objective.warmup_teacher_temp={start}",
        f"objective.teacher_temp={end}",
        "objective.warmup_teacher_temp_epochs=3",
    )


NO_CENTERING = ("objective.center_momentum=1.0",)
FROZEN = "objective.freeze_last_layer_epochs=1.0"

CAUSES: dict[str, tuple[tuple[VerdictKind, ...], tuple[str, ...]]] = {
    "as the recipe": (HEALTHY, ()),
    "other seed": (HEALTHY, ("seed=1",)),
    "sharper teacher": (HEALTHY, ("seed=2", *_temp(0.03))),
    "softer teacher": (HEALTHY, ("seed=2", *_temp(0.05))),
    "fast centre": (HEALTHY, ("seed=3", "objective.center_momentum=0.0")),
    "fast teacher": (HEALTHY, ("seed=3", "objective.teacher_momentum=0.95")),
    "many prototypes": (HEALTHY, ("seed=4", "objective.num_prototypes=4096")),
    "no centering": (ONE, NO_CENTERING),
    "no centering other seed": (ONE, ("seed=1", *NO_CENTERING)),
    "no sharpening": (UNIFORM, _temp(0.2)),
    "temperature too high": (UNIFORM, ("seed=2", *_temp(0.12))),
    "neither": (ANY_COLLAPSE, (*NO_CENTERING, *_temp(0.2))),
    "teacher is student": (LOST, _momentum(0.0)),
    "learning rate too high": (LOST, ("optimizer.base_lr=0.4",)),
    "learning rate explodes": (LOST, ("seed=1", "optimizer.base_lr=4", "optimizer.clip_grad=0")),
    "learning rate none": (STUCK, ("optimizer.base_lr=1.0e-8", "optimizer.final_lr=0")),
    "frozen layer": (HEALTHY, ("seed=5", FROZEN)),
    "warm temperature": (HEALTHY, ("seed=5", *_warm(0.02, 0.04))),
    "frozen layer no centering": (ONE, ("seed=5", FROZEN, *NO_CENTERING)),
    "temperature warms too far": (UNIFORM, ("seed=5", *_warm(0.04, 0.2))),
}
"""Cause → right verdicts and what is changed in the recipe, of DINO."""

PUBLISHED_K = "objective.num_prototypes=65536"

COSTLY_CAUSES: dict[str, tuple[tuple[VerdictKind, ...], tuple[str, ...]]] = {
    "published prototypes": (HEALTHY, ("seed=6", PUBLISHED_K)),
    "published prototypes no centering": (ONE, ("seed=6", PUBLISHED_K, *NO_CENTERING)),
    "published prototypes no sharpening": (UNIFORM, ("seed=6", PUBLISHED_K, *_temp(0.2))),
}
"""The same of the paper's K, with the ViT alone: such a step takes four times as long."""

LONG_CAUSES: dict[str, tuple[tuple[VerdictKind, ...], tuple[str, ...]]] = {
    "long as the recipe": (HEALTHY, ("seed=7",)),
    "long no centering": (ONE, ("seed=7", *NO_CENTERING)),
    "long no sharpening": (UNIFORM, ("seed=7", *_temp(0.2))),
    "long temperature too high": (UNIFORM, ("seed=7", *_temp(0.12))),
}
"""The same of runs of four times the length, with the ViT alone."""

MASKED_CAUSES: dict[str, tuple[tuple[VerdictKind, ...], tuple[str, ...]]] = {
    "masked as the recipe": (HEALTHY, ()),
    "masked other seed": (HEALTHY, ("seed=1",)),
    "masked by half": (HEALTHY, ("seed=2", "objective.mask_ratio=0.5")),
    "masked learning rate too high": ((*LOST, *MEAN), ("optimizer.base_lr=0.4",)),
    "masked learning rate none": (MEAN, ("optimizer.base_lr=1.0e-8", "optimizer.final_lr=0")),
}
"""The same of MAE, which takes no residual network."""

FEW_IMAGES_CAUSES: dict[str, tuple[tuple[VerdictKind, ...], tuple[str, ...]]] = {
    **MASKED_CAUSES,
    "masked third seed": (HEALTHY, ("seed=2",)),
    "masked by a quarter": (HEALTHY, ("seed=3", "objective.mask_ratio=0.25")),
    "masked nearly all": (HEALTHY, ("seed=1", "objective.mask_ratio=0.9")),
    "masked small patches": (
        HEALTHY,
        (
            "seed=1",
            "backbone.options={patch_size: 4, embed_dim: 128, depth: 3, num_heads: 4}",
        ),
    ),
}
"""The same of MAE on 1,024 images. RankMe falls below a quarter before it learns."""

STILL_CAUSES: dict[str, tuple[tuple[VerdictKind, ...], tuple[str, ...]]] = {
    "teacher stays": (STAYS, ("seed=8", *_momentum(1.0))),
}
"""A teacher of momentum 1 is never updated; with the ViT alone."""

_BATCH_OF_8 = ("seed=8", "training.batch_size=8", "training.epochs=3", "optimizer.warmup_epochs=1")

PHOTOGRAPH_CAUSES: dict[str, tuple[tuple[VerdictKind, ...], tuple[str, ...]]] = {
    "as the recipe": (HEALTHY, ()),
    "batch of 8": (HEALTHY, _BATCH_OF_8),
    "batch of 8 no centering": (ONE, (*_BATCH_OF_8, *NO_CENTERING)),
    "batch of 8 no sharpening": (UNIFORM, (*_BATCH_OF_8, *_temp(0.2))),
    "strong weight decay": (
        HEALTHY,
        ("seed=4", "optimizer.weight_decay=0.4", "optimizer.final_weight_decay=0.4"),
    ),
    "registers and stochastic depth": (
        HEALTHY,
        ("seed=5", "backbone.num_registers=4", "backbone.drop_path=0.1"),
    ),
    "no centering": (ONE, NO_CENTERING),
    "no sharpening": (UNIFORM, _temp(0.2)),
    "both temperatures equal": (UNIFORM, ("seed=1", *_temp(0.1))),
    "teacher is student": (LOST, _momentum(0.0)),
    "teacher is student other seed": (LOST, ("seed=1", *_momentum(0.0))),
}
"""The same of 750 tiles of photographs at 64 px, with batches of 48 or 8 and another ViT."""

RUNS = [
    LabelledRun(objective, dataset, backbone, cause, right, changes, length)
    for objective, causes, datasets, backbones, length in (
        ("dino", CAUSES, DATASETS, tuple(BACKBONES), 1),
        ("dino", COSTLY_CAUSES, DATASETS, ("vit",), 1),
        ("dino", LONG_CAUSES, DATASETS, ("vit",), 4),
        ("mae", MASKED_CAUSES, DATASETS, ("vit",), 1),
        ("mae", FEW_IMAGES_CAUSES, ("few scenes",), ("vit",), 1),
        ("dino", STILL_CAUSES, ("photographs",), ("vit",), 1),
        ("dino", PHOTOGRAPH_CAUSES, ("photographs",), ("vit",), 1),
    )
    for (cause, (right, changes)), dataset, backbone in itertools.product(
        causes.items(), datasets, backbones
    )
]
