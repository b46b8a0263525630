"""Metrics of the prototypes: how many are used, and how many are different.

In: the teacher's assignments in the latest logged batches, and the prototypes. Out: a dict from
names to 0-dimensional tensors. Next: ``poise.diagnostics.observe``.

A teacher may distinguish images and still not use most of its prototypes. This is the *partial*
collapse. Entropy and mutual information do not show this collapse (arXiv 2410.14060, 2510.20108).
One batch has fewer targets than prototypes. So the use of prototypes is counted over a window of
several logged batches (observations).

Letters: K prototypes of d dimensions; n targets in an observation (G·B over all workers).
"""

from collections import deque

import torch
from torch import Tensor
from torch.nn.functional import normalize

WINDOW = 16
"""Number of logged steps whose assignments are counted together."""

DEAD_SHARE_OF_EVEN = 0.01
"""A prototype is dead if it gets less than this share of 1/K. With equal use each prototype gets
1/K.
"""

SAME_COSINE = 0.975
"""Two prototypes count as the same if their cosine is above this number."""

COMPARED_PROTOTYPES = 512
"""Number of prototypes, evenly spaced in order, that are compared with all K. For K = 65536 the
share of duplicates then has a standard deviation of 2 %. The cost is 17 GFLOP with d = 256.
"""

_BLOCK = 8192  # prototypes compared at once


class AssignmentWindow:
    """Teacher's assignments in the latest observations. The window is the same on every worker.

    The window is part of a run's state and of its checkpoint, so that a resumed run logs the same
    values. 16 observations with K = 65536 need 4 MiB.
    """

    def __init__(self) -> None:
        self._chosen: deque[Tensor] = deque(maxlen=WINDOW)  # int32 [n] each
        self._mean_probs: deque[Tensor] = deque(maxlen=WINDOW)  # [K] each

    def add(self, chosen: Tensor, mean_probs: Tensor) -> None:
        """Adds one observation and drops the oldest.

        Args:
            chosen: most probable prototype of each target of all workers, integers [n].
            mean_probs: mean of the targets of all workers, [K].
        """
        self._chosen.append(chosen.int())
        self._mean_probs.append(mean_probs.float())

    @property
    def chosen(self) -> Tensor:
        """Most probable prototype of every target in the window, integers [Σ n]."""
        device = self._chosen[-1].device
        return torch.cat([chosen.to(device) for chosen in self._chosen])

    @property
    def mean_probs(self) -> Tensor:
        """Mean of all targets in the window, [K]."""
        device = self._mean_probs[-1].device
        return torch.stack([probs.to(device) for probs in self._mean_probs]).mean(dim=0)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Returns the tensors that ``load_state_dict`` needs."""
        return {"chosen": list(self._chosen), "mean_probs": list(self._mean_probs)}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Restores the window from ``state``."""
        self._chosen = deque(state["chosen"], maxlen=WINDOW)
        self._mean_probs = deque(state["mean_probs"], maxlen=WINDOW)


def usage_metrics(window: AssignmentWindow) -> dict[str, Tensor]:
    """Computes three metrics of the use of prototypes over the latest logged batches.

    All three are NaN if a target is not finite.
    """
    mean_probs = window.mean_probs
    numbers = {
        "prototypes/used_share": used_share(window.chosen, len(mean_probs)),
        "prototypes/perplexity": perplexity(mean_probs),
        "prototypes/dead_share": dead_share(mean_probs),
    }
    finite = mean_probs.isfinite().all()
    return {name: torch.where(finite, value, torch.nan) for name, value in numbers.items()}


def used_share(chosen: Tensor, num_prototypes: int) -> Tensor:
    """Share of the prototypes that are used, from 0 to 1.

    A prototype is used if at least one target gives it the highest probability. The number of used
    prototypes is divided by the largest possible number, min(K, targets).

    Formula: |{argmax_k P_t}| / min(K, targets). Source: cluster usage in arXiv 2510.20108. Cost:
    O(K + targets), and O(K · targets) for the arg max.

    Healthy: a large share, which rises slowly if K is large. Broken: 1 / min(K, targets) in the
    uniform collapse and in the collapse to a single prototype. If the share stays low while mutual
    information is high, this is the partial collapse.

    Args:
        chosen: most probable prototype of each target, integers [targets].
        num_prototypes: K.
    """
    used = torch.zeros(num_prototypes, device=chosen.device).index_fill(0, chosen.long(), 1.0)
    return used.sum() / min(num_prototypes, len(chosen))


def perplexity(mean_probs: Tensor) -> Tensor:
    """Effective number of used prototypes: exp(h(mean assignment)), from 1 to K.

    Formula: exp(−Σ_k p̄_k ln p̄_k). Source: none for this use, as a sign of the partial collapse
    (arXiv 2410.14060); the metric is common for codebooks. Cost: O(K).

    Healthy: a large part of K, if the window has several times K targets. Broken: 1, so all targets
    are assigned to one prototype. A small value that does not rise means partial collapse. Exactly
    K, together with a mutual information of 0, means uniform collapse.

    Args:
        mean_probs: mean of the targets, [K].
    """
    spread: Tensor = torch.special.entr(mean_probs.float()).sum().exp()
    return spread


def dead_share(mean_probs: Tensor) -> Tensor:
    """Share of prototypes with a mean probability below 1 % of 1/K, from 0 to 1.

    Unlike ``used_share``, this metric also works with fewer targets than prototypes. The reason is
    that each target gives some probability to all similar prototypes.

    Formula: |{k : p̄_k < 0.01 / K}| / K. Source: none, metric and limit are our own; the partial
    collapse is from arXiv 2410.14060 and 2510.20108. Cost: O(K).

    Healthy: the share falls as the teacher uses more prototypes. Broken: 1 − 1/K, so all targets
    are assigned to one prototype. If the share stays high while mutual information is high, this is
    the partial collapse. In the uniform collapse the share is 0.

    Args:
        mean_probs: mean of the targets, [K].
    """
    return (mean_probs < DEAD_SHARE_OF_EVEN / len(mean_probs)).float().mean()


def duplicate_share(prototypes: Tensor) -> Tensor:
    """Share of prototypes that have nearly the same direction as another prototype, from 0 to 1.

    Formula: |{k : max_l≠k cos(c_k, c_l) > 0.975}| / K, for the prototypes c.

    Source: unique prototypes in arXiv 2410.14060; the limit is our own. At most 512 prototypes,
    evenly spaced in order, are compared with all K. This estimate has no bias, because the order of
    prototypes has no meaning. Cost: O(512·K·d).

    Healthy: 0, because random directions in d ≥ 64 dimensions are never so close. Broken: the share
    rises. This is the partial collapse, in which many prototypes are the same.

    Args:
        prototypes: [K, d], of any norms.
    """
    directions = normalize(prototypes.float(), dim=-1)
    step = -(-len(directions) // COMPARED_PROTOTYPES)
    compared = directions[::step]
    own = torch.arange(0, len(directions), step, device=directions.device)
    nearest = [
        _others(compared @ block.T, own - index * _BLOCK).amax(dim=1)
        for index, block in enumerate(directions.split(_BLOCK))
    ]
    found = torch.stack(nearest).amax(dim=0)
    return torch.where(found.isfinite(), (found > SAME_COSINE).float(), torch.nan).mean()


def _others(cosines: Tensor, own: Tensor) -> Tensor:
    """Excludes each row's cosine with itself from cosines [n, block].

    ``own`` contains the column of this cosine for each row. The column may be outside of the block.
    """
    columns = torch.arange(cosines.shape[1], device=cosines.device)
    return cosines.masked_fill_(columns == own[:, None], -1.0)
