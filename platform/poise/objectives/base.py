"""The objective: the contract between what is learned and the training loop.

In: a ``ViewBatch`` and the run's position. Out: a loss, and an ``Observation`` for diagnostics.
Next: ``poise.training.loop``, which knows objectives by this contract alone.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from poise.data.batch import ViewBatch
from poise.models.initial_weights import take_over
from poise.models.last_tokens import LastTokens


@dataclass(frozen=True)
class RunPosition:
    """The position of a run on its schedules."""

    step: int
    """Optimiser steps finished, from 0."""

    steps_per_epoch: int
    total_steps: int

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.step // self.steps_per_epoch


@dataclass(frozen=True)
class Observation:
    """Tensors of the latest step that diagnostics read: detached, this worker's share only.

    An objective fills the fields that it has. All workers have the same shapes.
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
    """The result of a step."""

    loss: Tensor
    metrics: dict[str, Tensor]
    """Detached scalars of this step, by the name under which they are logged."""


class Objective(nn.Module, ABC):
    """Something that is learned from views: self-supervised, or with labels.

    DINO and MAE never read labels. ``poise.objectives.labelled`` is the base of those that do.

    Calling an objective runs ``step``; the loop may wrap it in DistributedDataParallel first. All
    state (teacher, centre) is in parameters and buffers, so ``state_dict`` is the checkpoint.

    Life of a step: ``schedules`` are read → ``step`` → backward → ``before_optimizer`` → the
    optimiser → ``after_step``; at logged steps, ``observe``.
    """

    shares_batch_statistics = False
    """Whether batch norms see the batches of all workers as one batch. Every worker must then take
    part in every step."""

    @abstractmethod
    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """The loss on one batch. It changes no state except what the later calls use."""

    def forward(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """``step``, under the name that wrappers call."""
        return self.step(batch, position)

    @abstractmethod
    def schedules(self, position: RunPosition) -> dict[str, float]:
        """The scheduled values at this step, by their logged names (``schedule/…``)."""

    def before_optimizer(self, position: RunPosition) -> None:
        """Changes gradients after clipping, before the optimiser reads them."""

    def after_step(self, position: RunPosition) -> None:
        """Updates what follows the optimiser: the teacher's moving average, the centre."""

    @abstractmethod
    def observe(self) -> Observation:
        """The tensors of the latest step that diagnostics read.

        It must change neither state nor the random numbers of training.
        """

    def pictures(self, batch: ViewBatch) -> dict[str, Tensor]:
        """RGB pictures for people, by name: uint8 [3, h, w]. Most objectives have none.

        It must change neither state nor the random numbers of training.
        """
        return {}

    @property
    @abstractmethod
    def trainable(self) -> nn.Module:
        """The module that the optimiser updates."""

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """The module that is evaluated, registered and kept."""

    def parameter_groups(self) -> list[dict[str, Any]] | None:
        """The optimiser's groups; none stands for the two groups of DINO and MAE.

        Each group has ``params``, ``is_decayed`` (whether weight decay applies) and ``lr_scale``
        (a factor of the learning rate).
        """
        return None

    def begin_with(self, backbone: nn.Module) -> None:
        """Takes over the weights of a trained backbone. Heads and decoders stay as they are.

        Raises:
            PoiseError: the backbone is of another architecture.
        """
        take_over(backbone, self.backbone)

    def compile_backbones(self) -> None:
        """Compiles the modules that run on every view. Parameter names stay."""
        for module in {self.backbone, *self.trainable.children()}:
            module.compile()

    @property
    def reference(self) -> nn.Module | None:
        """The moving average of ``trainable``; none for objectives without one."""
        return None
