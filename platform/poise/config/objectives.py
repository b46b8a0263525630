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
    """Properties of a run that decide which metrics it logs and how it is judged."""

    num_prototypes: int | None = None
    """Number of prototypes K of the teacher; None if the objective has no teacher over prototypes.
    """

    center_memory_steps: float = 0
    """Number of steps over which a teacher's centre averages; 0 if the centre does not move."""

    batch_images: int | None = None
    """Number of images in a batch over all workers. A batch cannot use more prototypes than it has
    images.
    """

    warmup_share: float = 0
    """Length of the learning rate's warm-up, as a share of the planned steps."""

    reconstructs: bool = False
    """Whether the objective predicts pixels. Then the loss is compared with the loss of a decoder
    that predicts the mean value of the pixels.
    """

    @property
    def relative_loss(self) -> tuple[str, str] | None:
        """Name and label of the metric that compares the loss with an untrained model's loss."""
        if self.num_prototypes is not None:
            return "loss/over_ln_k", "loss / ln K"
        return ("loss/over_mean_patch", "loss / mean patch") if self.reconstructs else None

    def metrics(self, views: ViewsConfig) -> tuple[str, ...]:
        """Returns the names of the metrics that a run with these views logs.

        Some metrics have more conditions. Metrics in ``EVALUATION`` depend on the recipe's
        evaluation. Metrics in ``COST``, ``PATCHES``, ``REGISTERS``, ``ATTENTION`` and ``DENSE``
        need a transformer backbone that has the tokens in question.
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
    """Base class of the settings of every objective."""

    name: str

    @property
    def signals(self) -> Signals:
        """Properties of the objective by which its runs are judged."""
        return Signals()

    def check_epochs(self, epochs: int) -> None:
        """Raises ValueError if the settings need more than ``epochs`` epochs."""

    def check_views(self, views: ViewsConfig) -> None:
        """Raises ValueError if the views are not suitable for this objective."""


class HeadConfig(Strict):
    """Projection head of DINO: an MLP, a bottleneck on the unit sphere, and K prototypes."""

    num_layers: int = Field(3, ge=1, le=8)
    """Number of linear layers before the prototypes."""

    hidden_dim: PositiveInt = 2048
    """Width of the hidden layers."""

    bottleneck_dim: PositiveInt = 256
    """Width of the layer before the prototypes."""

    batch_norm: bool = False
    """Whether batch normalisation follows each hidden layer."""

    normalize_last_layer: bool = True
    """Whether the norm of every prototype is kept at 1, so that logits are cosines."""


class DinoConfig(ObjectiveSettings):
    """Self-distillation without labels (arXiv 2104.14294). The defaults are the published values.

    Epochs count from the start of training. The training loop converts epochs to steps.
    """

    name: Literal["dino"] = "dino"
    num_prototypes: int = Field(65536, ge=2)
    """Number of prototypes K, which the published code calls `out_dim`."""

    student_temp: float = Field(0.1, gt=0, le=10)
    """Temperature of the student's softmax."""

    teacher_temp: float = Field(0.04, gt=0, le=10)
    """Temperature of the teacher's softmax. Lower values give sharper targets."""

    warmup_teacher_temp: float = Field(0.04, gt=0, le=10)
    """Temperature of the teacher at the start of its warm-up."""

    warmup_teacher_temp_epochs: int = Field(0, ge=0)
    """Number of epochs in which the temperature rises from `warmup_teacher_temp` to `teacher_temp`.
    """

    teacher_momentum: Probability = 0.996
    """Momentum of the teacher's moving average at the start. With 0 the teacher is a copy of the
    student.
    """

    final_teacher_momentum: Probability = 1.0
    """Momentum of the teacher's moving average at the end of the run. The momentum follows a
    cosine.
    """

    center_momentum: Probability = 0.9
    """Momentum of the centre; the centering rate is 1 minus this value. With 1 the centre stays at
    0, so there is no centering.
    """

    freeze_last_layer_epochs: NonNegative = 1
    """Number of epochs at the start of training in which the prototypes do not change."""

    head: HeadConfig = HeadConfig()

    @property
    def signals(self) -> Signals:
        """Properties by which a DINO run is judged: its prototypes and the memory of its centre."""
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
    """Share of an image's patches that are masked. The encoder does not see masked patches, and the
    decoder predicts them.
    """

    norm_pix_loss: bool = False
    """Whether the target of each patch is normalised: its pixels minus their mean, divided by their
    standard deviation.
    """

    decoder_depth: int = Field(8, ge=1, le=64)
    """Number of blocks of the decoder."""

    decoder_dim: int = Field(512, ge=4, multiple_of=4)
    """Width of the decoder. It is a multiple of 4, because positions use the sine and cosine of two
    coordinates.
    """

    decoder_heads: PositiveInt = 16
    """Number of the decoder's attention heads."""

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
        """Properties by which an MAE run is judged: the objective predicts pixels."""
        return Signals(reconstructs=True)

    def check_views(self, views: ViewsConfig) -> None:
        """Raises ValueError unless there is exactly one view."""
        if (views.global_count, views.local_count) != (1, 0):
            raise ValueError(
                "objective mae reconstructs one view per image: set data.views.global_count=1 and "
                f"data.views.local_count=0, got {views.global_count} and {views.local_count}"
            )
