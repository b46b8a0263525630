"""Base class of objectives: the contract between an objective and the training loop.

In: a ``ViewBatch`` and the run's position. Out: a loss, and an ``Observation`` for diagnostics.
Next: ``poise.training.loop``, which uses only this contract.
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
    """Tensors of the latest step for diagnostics, detached, of this worker only.

    An objective fills the fields that it has. The shapes are the same on all workers.
    """

    views: Tensor | None = None  # [n, 3, H, W] a few normalised global views
    features: Tensor | None = None  # [V, B, D] backbone features of V views of the same images
    tokens: LastTokens | None = None  # tokens of a few whole images; only transformers have them
    teacher_probs: Tensor | None = None  # [G, B, K] the targets, from the G global views
    student_logits: Tensor | None = None  # [V, B, K] divided by the temperature; global views first
    prototypes: Tensor | None = None  # [K, d] directions of the prototypes
    center: Tensor | None = None  # [K]
    predictions: Tensor | None = None  # [n, C] predictions of hidden patches
    targets: Tensor | None = None  # [n, C] true values of hidden patches


@dataclass(frozen=True)
class StepResult:
    """Result of a step."""

    loss: Tensor
    metrics: dict[str, Tensor]
    """Detached scalars of this step, by their logged names."""


class Objective(nn.Module, ABC):
    """Base of everything that a run can learn from views, with or without labels.

    DINO and MAE never read labels. ``poise.objectives.labelled`` is the base of objectives that do.

    Calling an objective runs ``step``; the loop may first wrap it in DistributedDataParallel. All
    state (teacher, centre) is in parameters and buffers, so ``state_dict`` is the checkpoint.

    Order of calls in a step: ``schedules`` → ``step`` → backward → ``before_optimizer`` → the
    optimiser → ``after_step``. At logged steps, ``observe`` follows.
    """

    shares_batch_statistics = False
    """Whether batch norms use the batches of all workers as one batch. If True, every worker must
    take part in every step.
    """

    @abstractmethod
    def step(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Computes the loss on one batch. It changes only the state that the later calls need."""

    def forward(self, batch: ViewBatch, position: RunPosition) -> StepResult:
        """Runs ``step``. Wrappers such as DistributedDataParallel call this method."""
        return self.step(batch, position)

    @abstractmethod
    def schedules(self, position: RunPosition) -> dict[str, float]:
        """Returns the scheduled values at this step, by their logged names (``schedule/…``)."""

    def before_optimizer(self, position: RunPosition) -> None:
        """Changes gradients after clipping and before the optimiser reads them."""

    def after_step(self, position: RunPosition) -> None:
        """Updates state after the optimiser: the teacher's moving average and the centre."""

    @abstractmethod
    def observe(self) -> Observation:
        """Returns the tensors of the latest step for diagnostics.

        It must change neither the state nor the random numbers of training.
        """

    def pictures(self, batch: ViewBatch) -> dict[str, Tensor]:
        """Draws RGB pictures of the current state, by name: uint8 [3, h, w].

        Most objectives have none. It must change neither the state nor the random numbers of
        training.
        """
        return {}

    @property
    @abstractmethod
    def trainable(self) -> nn.Module:
        """Module that the optimiser updates."""

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """Module that is evaluated, saved and registered."""

    def parameter_groups(self) -> list[dict[str, Any]] | None:
        """Returns the optimiser's groups; None means the two groups of DINO and MAE.

        Each group has ``params``, ``is_decayed`` (whether weight decay applies) and ``lr_scale``
        (factor of the learning rate).
        """
        return None

    def begin_with(self, backbone: nn.Module) -> None:
        """Takes over the weights of a trained backbone. Heads and decoders stay as they are.

        Raises:
            PoiseError: the backbone is of another architecture.
        """
        take_over(backbone, self.backbone)

    def compile_backbones(self) -> None:
        """Compiles the modules that run on every view. The names of parameters do not change."""
        for module in {self.backbone, *self.trainable.children()}:
            module.compile()

    @property
    def reference(self) -> nn.Module | None:
        """Moving average of ``trainable``; None for objectives without a moving average."""
        return None
