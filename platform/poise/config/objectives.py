"""Settings of each objective."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from poise.config.base import NonNegative, PositiveInt, Probability, Strict
from poise.config.metrics import (
    AGREEMENT,
    COST,
    EVALUATION,
    FEATURES,
    GLOBAL_PAIRS,
    LOCAL_PAIRS,
    PARTS,
    PATCHES,
    RECONSTRUCTION,
    REGISTERS,
    TEACHER,
    TRAINING,
    VIEWS,
)
from poise.config.views import ViewsConfig


@dataclass(frozen=True)
class Signals:
    """Metrics by which a run is judged, in addition to a loss that must stay finite."""

    num_prototypes: int | None = None
    """K of a teacher over prototypes; None if there is no such teacher."""

    center_memory_steps: float = 0
    """Number of steps over which a teacher's centre averages; 0 if the centre does not move."""

    batch_images: int | None = None
    """Images of a batch over all workers. A batch cannot use more prototypes than it has images."""

    warmup_share: float = 0
    """Share of the planned steps in which the learning rate rises to its peak."""

    reconstructs: bool = False
    """Whether pixels are predicted. Then the loss can be compared with predicting their mean."""

    @property
    def relative_loss(self) -> tuple[str, str] | None:
        """Metric that compares the loss with that of an untrained model, and its label."""
        if self.num_prototypes is not None:
            return "loss/over_ln_k", "loss / ln K"
        return ("loss/over_mean_patch", "loss / mean patch") if self.reconstructs else None

    def metrics(self, views: ViewsConfig) -> tuple[str, ...]:
        """Returns the names of the metrics that a run on such views logs.

        Some of them depend on more: those in ``EVALUATION`` on the recipe's evaluation, and those
        in ``COST``, ``PATCHES``, ``REGISTERS``, ``ATTENTION`` and ``DENSE`` on a transformer
        backbone with these tokens.
        """
        has_teacher = self.num_prototypes is not None
        groups = {
            EVALUATION + TRAINING + COST: True,
            PARTS + VIEWS + FEATURES + PATCHES + REGISTERS: has_teacher or self.reconstructs,
            TEACHER: has_teacher,
            GLOBAL_PAIRS + AGREEMENT: has_teacher and views.global_count > 1,
            LOCAL_PAIRS: has_teacher and views.local_count > 0,
            RECONSTRUCTION: self.reconstructs,
        }
        return tuple(name for names, are_logged in groups.items() if are_logged for name in names)


class ObjectiveSettings(Strict):
    """Base of the settings of every objective."""

    name: str

    @property
    def signals(self) -> Signals:
        """Metrics that diagnostics will find for a run."""
        return Signals()

    def check_epochs(self, epochs: int) -> None:
        """Raises ValueError if the settings need a longer run."""

    def check_views(self, views: ViewsConfig) -> None:
        """Raises ValueError if the views are not suitable for this objective."""


class HeadConfig(Strict):
    """Projection head of DINO: an MLP, a bottleneck on the unit sphere, and K prototypes."""

    num_layers: int = Field(3, ge=1, le=8)
    hidden_dim: PositiveInt = 2048
    bottleneck_dim: PositiveInt = 256
    batch_norm: bool = False
    normalize_last_layer: bool = True
    """Keeps the norm of every prototype at 1, so that logits are cosines."""


class DinoConfig(ObjectiveSettings):
    """Self-distillation without labels (arXiv 2104.14294). The defaults are the published values.

    Epochs count from the start of training. The training loop converts them to steps.
    """

    name: Literal["dino"] = "dino"
    num_prototypes: int = Field(65536, ge=2)
    """Number of prototypes K, the published `out_dim`."""

    student_temp: float = Field(0.1, gt=0, le=10)
    teacher_temp: float = Field(0.04, gt=0, le=10)
    warmup_teacher_temp: float = Field(0.04, gt=0, le=10)
    warmup_teacher_temp_epochs: int = Field(0, ge=0)

    teacher_momentum: Probability = 0.996
    """Momentum of the teacher's moving average at the start. With 0 the teacher is a copy of the
    student.
    """

    final_teacher_momentum: Probability = 1.0

    center_momentum: Probability = 0.9
    """Momentum of the centre; the centering rate is 1 minus this value. With 1 the centre stays at
    0, so there is no centering.
    """

    freeze_last_layer_epochs: NonNegative = 1
    head: HeadConfig = HeadConfig()

    @property
    def signals(self) -> Signals:
        """Signals of a teacher over prototypes."""
        moves = self.center_momentum < 1
        memory_steps = 1 / (1 - self.center_momentum) if moves else 0
        return Signals(num_prototypes=self.num_prototypes, center_memory_steps=memory_steps)

    def check_epochs(self, epochs: int) -> None:
        """Raises ValueError if a warm-up is longer than the run."""
        if self.warmup_teacher_temp_epochs > epochs:
            raise ValueError(
                f"objective.warmup_teacher_temp_epochs={self.warmup_teacher_temp_epochs} is longer "
                f"than training.epochs={epochs}"
            )

    def check_views(self, views: ViewsConfig) -> None:
        """Raises ValueError if the views are not suitable for this objective."""
        if views.count < 2:
            raise ValueError("objective dino compares views: it needs at least 2 of them per image")


class MaeConfig(ObjectiveSettings):
    """Masked autoencoder (arXiv 2111.06377). The defaults are the published values."""

    name: Literal["mae"] = "mae"

    mask_ratio: float = Field(0.75, gt=0, lt=1)
    """Share of an image's patches that the encoder does not see and the decoder predicts."""

    norm_pix_loss: bool = False
    """Normalises the target of each patch: its pixels minus their mean, divided by their standard
    deviation.
    """

    decoder_depth: int = Field(8, ge=1, le=64)
    decoder_dim: int = Field(512, ge=4, multiple_of=4)
    """Width of the decoder. It is a multiple of 4, because positions use the sine and cosine of two
    coordinates.
    """

    decoder_heads: PositiveInt = 16

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.decoder_dim % self.decoder_heads:
            raise ValueError(
                f"objective.decoder_dim={self.decoder_dim} must be a multiple of "
                f"objective.decoder_heads={self.decoder_heads}"
            )
        return self

    @property
    def signals(self) -> Signals:
        """Signals of predicted pixels."""
        return Signals(reconstructs=True)

    def check_views(self, views: ViewsConfig) -> None:
        """Raises ValueError unless there is exactly one view."""
        if (views.global_count, views.local_count) != (1, 0):
            raise ValueError(
                "objective mae reconstructs one view per image: set data.views.global_count=1 and "
                f"data.views.local_count=0, got {views.global_count} and {views.local_count}"
            )
