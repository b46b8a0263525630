"""What an objective promises to the training loop."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from poise.data.batch import ViewBatch
from poise.models.last_tokens import LastTokens


@dataclass(frozen=True)
class RunPosition:
    """Where a run stands. ``step`` counts optimiser steps from 0."""

    step: int
    steps_per_epoch: int
    total_steps: int

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.steps_per_epoch


@dataclass(frozen=True)
class Observation:
    """What diagnostics may look at after a step: detached, of this worker alone.

    An objective fills what it has. Every worker's has the same shapes.
    """

    views: Tensor | None = None  # [n, 3, H, W] a few normalised global views
    features: Tensor | None = None  # [V, B, D] backbone features, of V views of the same images
    tokens: LastTokens | None = None  # of a few whole images; transformers alone have them
    teacher_probs: Tensor | None = None  # [G, B, K] the targets, of the G global views
    student_logits: Tensor | None = None  # [V, B, K] over the student's temperature; global first
    prototypes: Tensor | None = None  # [K, d] their directions
    center: Tensor | None = None  # [K]
    predictions: Tensor | None = None  # [n, C] of hidden patches
    targets: Tensor | None = None  # [n, C] what they should have been


@dataclass(frozen=True)
class StepResult:
    """What a step returns."""

    loss: Tensor
    metrics: dict[str, Tensor]
    """Detached scalars of this step, by the name under which they are logged."""


class Objective(nn.Module, ABC):
    """A way to learn from views without labels.

    Calling it is ``step``; the loop may wrap it in DistributedDataParallel first. All that is
    state (teacher, centre) is in parameters and buffers, so ``state_dict`` is the checkpoint.

    Life of a step: ``schedules`` are read → ``step`` → backward → ``before_optimizer`` → the
    optimiser → ``after_step``; at an interval, ``observe``.
    """

    shares_batch_statistics = False
    """Whether batch norms see the batches of all workers as one. Every worker must then take part
    in every step."""

    @abstractmethod
    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """The loss on one batch. Changes no state but what the later calls will use."""

    def forward(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """``step``, under the name that wrappers call."""
        return self.step(batch, position)

    @abstractmethod
    def schedules(self, position: RunPosition) -> dict[str, float]:
        """The scheduled values at this step, by the name under which they are logged."""

    def before_optimizer(self, position: RunPosition) -> None:
        """Has the last word on the gradients, after clipping."""

    def after_step(self, position: RunPosition) -> None:
        """Does what must follow the optimiser: the teacher's moving average, the centre."""

    @abstractmethod
    def observe(self) -> Observation:
        """What diagnostics may look at, of the latest step.

        Must change neither state nor what training draws at random.
        """

    def pictures(self, batch: ViewBatch) -> dict[str, Tensor]:
        """What a person should look at: RGB pictures by name, uint8 [3, h, w].

        Must change neither state nor what training draws at random. Most objectives have none.
        """
        return {}

    @property
    @abstractmethod
    def trainable(self) -> nn.Module:
        """What the optimiser updates."""

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """What is evaluated, registered and kept."""

    def parameter_groups(self) -> list[dict[str, Any]] | None:
        """The optimiser's groups, where they are not the published two.

        Each has ``params``, ``is_decayed``, and ``lr_scale``, a factor of the learning rate.
        """
        return None

    def compile_backbones(self) -> None:
        """Compiles what runs on every view; the names of parameters stay."""
        for module in {self.backbone, *self.trainable.children()}:
            module.compile()

    @property
    def reference(self) -> nn.Module | None:
        """The moving average of ``trainable``, where there is one."""
        return None
