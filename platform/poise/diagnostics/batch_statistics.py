"""Statistics of one batch, collected from its micro-batches.

In: the ``Observation`` of each micro-batch on this worker. Out: ``BatchStatistics``, which do not
depend on the size of micro-batches. Next: ``poise.diagnostics.observe``, which combines the workers
and computes the metrics.

For metrics that are means over images, only sums are stored. For metrics that compare images, the
rows of the first images are stored. So the memory hardly grows with the batch. It contains K
numbers, one integer per target, ``MAX_FEATURES`` features, the moments of a patch, and
``OBSERVED_IMAGES`` images. For DINO with K = 65,536, D = 384 and 512 images of 224 px, the
statistics need 11 MiB. The outputs of these images would need 0.9 GiB in bf16.
"""

import torch
from torch import Tensor, nn

from poise.diagnostics import reconstruction
from poise.diagnostics import self_distillation as distillation
from poise.models.last_tokens import OBSERVED_IMAGES, LastTokens, last_tokens
from poise.objectives.base import Observation

MAX_FEATURES = 1024
"""Largest number of feature vectors that are used, over all views and workers. The cost grows with
the square of this number.

Every worker contributes all views of its first images.
"""


class BatchStatistics:
    """Statistics of this worker's images of one batch.

    A field is None if the objective does not set it.
    """

    def __init__(self) -> None:
        self.averages: dict[str, Tensor] = {}
        """Maps the name of each metric of teacher and student to its mean over the images."""

        self.mean_probs: Tensor | None = None  # [K], mean of the targets
        self.moments: Tensor | None = None  # of predicted patches, see ``reconstruction.moments``
        self.prototypes: Tensor | None = None  # [K, d]
        self.center: Tensor | None = None  # [K]
        self.tokens: LastTokens | None = None
        self._chosen: list[Tensor] = []
        self._features: list[Tensor] = []
        self._views: list[Tensor] = []

    @classmethod
    def of(cls, observation: Observation, tokens: LastTokens | None = None) -> "BatchStatistics":
        """Makes the statistics of a batch that is not split into micro-batches."""
        statistics = cls()
        statistics.add(observation)
        statistics.tokens = tokens
        return statistics

    @torch.no_grad()
    def add(self, observation: Observation, share: float = 1.0) -> None:
        """Adds a micro-batch.

        Args:
            observation: tensors of the micro-batch.
            share: number of its images, divided by the number of images of this worker's batch. The
                shares of all micro-batches add up to 1.
        """
        self.prototypes, self.center = observation.prototypes, observation.center
        if observation.teacher_probs is not None:
            self._add_targets(observation.teacher_probs, observation.student_logits, share)
        if observation.predictions is not None and observation.targets is not None:
            own = reconstruction.moments(
                observation.predictions.float(), observation.targets.float()
            )
            self.moments = _plus(self.moments, share * own)
        if observation.features is not None:
            by_image = observation.features.float().transpose(0, 1)  # [B, V, D]
            _keep_first(self._features, by_image, MAX_FEATURES // len(observation.features))
        if observation.views is not None:
            _keep_first(self._views, observation.views, OBSERVED_IMAGES)

    def _add_targets(self, probs: Tensor, student_logits: Tensor | None, share: float) -> None:
        for name, value in distillation.batch_averages(probs, student_logits).items():
            self.averages[name] = _plus(self.averages.get(name), share * value)
        self.mean_probs = _plus(self.mean_probs, share * probs.float().mean(dim=(0, 1)))
        self._chosen.append(probs.argmax(dim=-1).flatten())

    def read_tokens(self, backbone: nn.Module) -> None:
        """Computes the tokens of the stored views, if the backbone is a transformer."""
        if self._views:
            self.tokens = last_tokens(backbone, torch.cat(self._views))

    @property
    def chosen(self) -> Tensor:
        """Most probable prototype of each target, integers [targets]."""
        return torch.cat(self._chosen)

    @property
    def features(self) -> Tensor | None:
        """Features of all views of the first images, [B, V, D]."""
        return torch.cat(self._features) if self._features else None

    @property
    def views(self) -> Tensor | None:
        """A few normalised global views, [n, 3, H, W]."""
        return torch.cat(self._views) if self._views else None


def _plus(total: Tensor | None, own: Tensor) -> Tensor:
    return own if total is None else total + own


def _keep_first(kept: list[Tensor], rows: Tensor, at_most: int) -> None:
    """Appends rows to ``kept`` until ``kept`` contains ``at_most`` rows."""
    free = max(1, at_most) - sum(map(len, kept))
    if free > 0:
        kept.append(rows[:free].clone())  # a slice would keep all rows in memory
