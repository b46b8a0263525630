"""Base class of objectives: the contract between an objective and the training loop.

In: a ``ViewBatch`` and the run's position. Out: a loss, and an ``Observation`` for diagnostics.
Next: ``poise.training.loop``, which calls only the methods of this class.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from poise.data.batch import ViewBatch
from poise.models.initial_weights import take_over


@dataclass(frozen=True)
class RunPosition:
    """Position of a run on its schedules."""

    step: int
    """Number of finished optimiser steps."""

    steps_per_epoch: int
    total_steps: int

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self.step // self.steps_per_epoch


@dataclass(frozen=True)
class Observation:
    """Tensors of the latest call of ``step`` on this worker, for diagnostics. They are detached.

    An objective sets only the fields that apply to it. The shapes are the same on all workers.
    Prototypes and centre are the objective's own tensors, not copies, so they change with training.
    """

    views: Tensor | None = None  # [n, 3, H, W] a few normalised global views
    features: Tensor | None = None  # [V, B, D] backbone features of V views of the same images
    teacher_probs: Tensor | None = None  # [G, B, K] the targets, from the G global views
    student_logits: Tensor | None = None  # [V, B, K] divided by the temperature; global views first
    prototypes: Tensor | None = None  # [K, d] directions of the prototypes
    center: Tensor | None = None  # [K]
    predictions: Tensor | None = None  # [n, C] predictions of hidden patches
    targets: Tensor | None = None  # [n, C] true values of hidden patches


@dataclass(frozen=True)
class StepResult:
    """Loss and metrics that one call of ``step`` returns."""

    loss: Tensor
    """Loss, averaged over the images."""

    metrics: dict[str, Tensor]
    """Detached scalars, averaged over the images. The keys are the names in the log."""


class Objective(nn.Module, ABC):
    """Base class of all objectives, with or without labels.

    DINO and MAE never read labels. ``poise.objectives.labelled`` is the base of objectives that do.

    Calling an objective runs ``step``. The training loop may wrap the objective in
    DistributedDataParallel. All state (teacher, centre) is in parameters and buffers, so
    ``state_dict`` contains everything that a checkpoint needs.

    Order of calls in a step: ``schedules`` → for each micro-batch ``step``, backward and, at logged
    steps, ``observe`` → ``before_optimizer`` → the optimiser → ``after_step``. A batch has one
    micro-batch unless ``training.micro_batch_size`` is set. Teacher and centre are updated once per
    batch, in ``after_step``.
    """

    shares_batch_statistics = False
    """Whether batch norms compute their statistics over all workers. If True, every worker must
    take part in every step.
    """

    @abstractmethod
    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Computes the loss on one micro-batch.

        It changes only the state that the later calls of this step need. It adds up the sums that
        ``after_step`` needs over all micro-batches.
        """

    def forward(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Runs ``step``. Wrappers such as DistributedDataParallel call this method."""
        return self.step(batch, position)

    @abstractmethod
    def schedules(self, position: RunPosition) -> dict[str, float]:
        """Returns the values of all schedules at this step.

        Keys are the names in the log (``schedule/…``).
        """

    def before_optimizer(self, position: RunPosition) -> None:
        """Changes gradients after clipping and before the optimiser reads them."""

    def after_step(self, position: RunPosition) -> None:
        """Updates state after the optimiser: the teacher's moving average and the centre."""

    @abstractmethod
    def observe(self) -> Observation:
        """Returns the tensors of the latest call of ``step``, for diagnostics.

        Implementations must not change the state, and must not draw random numbers of training.
        """

    def pictures(self, batch: ViewBatch) -> dict[str, Tensor]:
        """Draws RGB pictures of the current state, as a dict from names to uint8 [3, h, w].

        Most objectives draw no pictures. Implementations must not change the state, and must not
        draw random numbers of training.
        """
        return {}

    @property
    @abstractmethod
    def trainable(self) -> nn.Module:
        """Module that the optimiser updates."""

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """Backbone that is evaluated, saved and registered."""

    def parameter_groups(self) -> list[dict[str, Any]] | None:
        """Returns the optimiser's parameter groups; None means the default groups.

        There are two default groups, as in DINO and MAE: with and without weight decay. Each
        returned group has the keys ``params``, ``is_decayed`` (whether weight decay applies) and
        ``lr_scale`` (factor of the learning rate).
        """
        return None

    def begin_with(self, backbone: nn.Module) -> None:
        """Copies the weights of a trained backbone. Heads and decoders keep their weights.

        Raises:
            PoiseError: the backbone is of another architecture.
        """
        take_over(backbone, self.backbone)

    def compile_backbones(self) -> None:
        """Compiles the modules that process the views. The names of parameters do not change."""
        for module in {self.backbone, *self.trainable.children()}:
            module.compile()

    @property
    def reference(self) -> nn.Module | None:
        """Moving average of ``trainable``; None for objectives without a moving average."""
        return None
