"""The settings of each objective."""

from typing import Literal

from pydantic import Field

from poise.config.base import NonNegative, PositiveInt, Probability, Strict
from poise.config.views import ViewsConfig


class HeadConfig(Strict):
    """DINO's projection head: an MLP, a bottleneck on the unit sphere, K prototypes."""

    num_layers: int = Field(3, ge=1, le=8)
    hidden_dim: PositiveInt = 2048
    bottleneck_dim: PositiveInt = 256
    batch_norm: bool = False
    normalize_last_layer: bool = True
    """Holds every prototype's norm at 1, so that logits are cosines."""


class DinoConfig(Strict):
    """Self-distillation without labels (arXiv 2104.14294). The defaults are the published ones.

    Epochs here count from the start of training; the loader turns them into steps.
    """

    name: Literal["dino"] = "dino"
    num_prototypes: int = Field(65536, ge=2)
    """K, the published `out_dim`."""

    student_temp: float = Field(0.1, gt=0, le=10)
    teacher_temp: float = Field(0.04, gt=0, le=10)
    warmup_teacher_temp: float = Field(0.04, gt=0, le=10)
    warmup_teacher_temp_epochs: int = Field(0, ge=0)

    teacher_momentum: Probability = 0.996
    """Of the teacher's moving average, at the start. 0 makes the teacher a copy of the student."""

    final_teacher_momentum: Probability = 1.0

    center_momentum: Probability = 0.9
    """The centering rate is 1 − this. At 1 the centre never moves from 0: no centering."""

    freeze_last_layer_epochs: NonNegative = 1
    head: HeadConfig = HeadConfig()

    def check_epochs(self, epochs: int) -> None:
        """Raises ValueError when a warm-up is longer than the run."""
        if self.warmup_teacher_temp_epochs > epochs:
            raise ValueError(
                f"objective.warmup_teacher_temp_epochs={self.warmup_teacher_temp_epochs} is longer "
                f"than training.epochs={epochs}"
            )

    def check_views(self, views: ViewsConfig) -> None:
        """Raises ValueError when the views cannot serve this objective."""
        if views.count < 2:
            raise ValueError("objective dino compares views: it needs at least 2 of them per image")
