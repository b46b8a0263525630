from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from poise.cluster.collectives import (
    decision_of_first,
    mean_over_workers,
    rows_of_all_workers,
    sum_over_workers,
)
from poise.diagnostics.batch_statistics import BatchStatistics
from poise.diagnostics.observe import diagnose
from poise.diagnostics.prototypes import AssignmentWindow
from poise.models.last_tokens import LastTokens
from poise.objectives.base import Observation


def _share(rank: int, num_workers: int) -> tuple[BatchStatistics, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(7)
    features = torch.randn(2, 12, 6, generator=generator)
    teacher = torch.randn(2, 12, 9, generator=generator).softmax(-1)
    student = torch.randn(4, 12, 9, generator=generator)
    pixels = torch.randn(2, 12, 5, generator=generator)
    patches = torch.randn(12, 4, 6, generator=generator)
    norms = 3 * torch.randn(12, 7, generator=generator).exp()  # of [cls], two registers, patches
    losses = torch.arange(12.0)
    rows = slice(rank * 12 // num_workers, (rank + 1) * 12 // num_workers)
    observation = Observation(
        views=pixels[0, rows, :3, None, None],
        features=features[:, rows],
        teacher_probs=teacher[:, rows],
        student_logits=student[:, rows],
        prototypes=torch.eye(9),
        center=torch.arange(9.0),
        predictions=pixels[0, rows],
        targets=pixels[1, rows],
    )
    tokens = LastTokens(
        patches[rows], norms[rows, 3:], patches[rows, 0], norms[rows, 0], norms[rows, 1:3]
    )
    return BatchStatistics.of(observation, tokens), {"loss/total": losses[rows].mean()}


def _work(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    window = AssignmentWindow()
    for _ in range(2):
        numbers = dict(diagnose(*_share(rank, 2), window))
    torch.save(numbers, f"{folder}/{rank}.pt")
    rows = torch.tensor([[rank, rank, rank], [0, 1, 2]]).T  # not contiguous
    torch.save(rows_of_all_workers(rows, at_most=5), f"{folder}/rows-{rank}.pt")
    decided = [decision_of_first(rank == first, torch.device("cpu")) for first in (0, 1)]
    assert decided == [True, False], "the second worker's wish does not count"
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_workers_report_the_numbers_of_one_on_the_joined_batch(tmp_path: Path) -> None:
    spawn(_work, args=(str(tmp_path),), nprocs=2)
    window = AssignmentWindow()
    for _ in range(2):
        alone = dict(diagnose(*_share(0, 1), window))
    groups = {
        "teacher",
        "student",
        "features",
        "patches",
        "tokens",
        "prototypes",
        "loss",
        "center",
        "views",
    }
    assert groups <= {name.split("/")[0] for name in alone}
    for rank in range(2):
        rows = torch.load(tmp_path / f"rows-{rank}.pt", weights_only=True)
        assert rows.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
        together = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert together == pytest.approx(alone, rel=1e-5)


def test_a_sum_over_workers_leaves_the_tensor_that_it_was_given_alone() -> None:
    own = torch.ones(3)
    for reduced in (sum_over_workers(own), mean_over_workers(own)):
        reduced.add_(1)
    assert torch.equal(own, torch.ones(3))
