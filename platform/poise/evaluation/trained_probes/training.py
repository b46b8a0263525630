"""Trains heads on features that were computed once. This takes seconds.

In: features and labels of images, and the recipe of a probe. Out: trained heads. Next:
``poise.evaluation.trained_probes.probe`` counts their correct answers.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from poise.config.probes import ProbeConfig
from poise.config.recipe import Recipe
from poise.models.heads.grid import ProbeHeads
from poise.objectives.base import RunPosition
from poise.objectives.probe import grid_groups, grid_loss
from poise.training.optimizer import build_optimizer, schedules, set_schedules

_WORTH_THREADS = 2**27  # multiply-adds of a step from which on several threads are faster


def train_heads(
    heads: ProbeHeads,
    features: Mapping[str, Tensor],
    labels: Tensor,
    rows: Tensor,
    recipe: Recipe,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> None:
    """Trains heads in place, with the recipe's optimiser, schedule, batch size and epochs.

    Each epoch reads the images in a random order, which depends on the recipe's seed. If there are
    fewer images than a batch, all images form one batch. Otherwise, a last batch that is not full
    is left out.

    Args:
        heads: heads on the device of the features.
        features: values of each feature by name, [n, D]. Heads that pool need tokens [n, T, D].
        labels: labels of the images, int64 [n].
        rows: row numbers of the m training images, int64 [m]. All of them have labels.
        recipe: recipe of the probe. Its objective is a ``ProbeConfig``.
        on_epoch: function that is called after every epoch, with the number of finished epochs.
    """
    config: ProbeConfig = recipe.objective  # type: ignore[assignment]
    groups = grid_groups(heads, config.lr_multipliers)
    optimizer = build_optimizer(recipe.optimizer, heads, groups)
    batch_size = min(recipe.training.batch_size, len(rows))
    steps_per_epoch = len(rows) // batch_size
    total_steps = steps_per_epoch * recipe.training.epochs
    generator = torch.Generator().manual_seed(recipe.seed)
    heads.train()
    with _threads_for(heads, batch_size):
        for step in range(total_steps):
            position = step % steps_per_epoch
            if position == 0:
                order = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
            batch = order[position * batch_size : (position + 1) * batch_size]
            set_schedules(
                optimizer, schedules(recipe, RunPosition(step, steps_per_epoch, total_steps))
            )
            scores = heads({name: feature[batch] for name, feature in features.items()})
            optimizer.zero_grad()
            grid_loss(scores, labels[batch]).backward()
            optimizer.step()
            if position == steps_per_epoch - 1:
                on_epoch(step // steps_per_epoch + 1)
    heads.eval()


@contextmanager
def _threads_for(heads: ProbeHeads, batch_size: int) -> Iterator[None]:
    """Makes PyTorch use one thread during the ``with`` block, if a training step is small."""
    num_threads = torch.get_num_threads()
    num_parameters = sum(parameter.numel() for parameter in heads.parameters())
    if batch_size * num_parameters < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
