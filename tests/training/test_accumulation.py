"""A batch that passes through the model in parts is the batch that passes at once."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from poise.config import PoiseError, Recipe
from poise.data.batch import ViewBatch
from poise.data.views.color_augmentation import Photometry
from poise.diagnostics.batch_statistics import MAX_FEATURES, BatchStatistics
from poise.objectives import build_objective
from poise.objectives.base import Observation, RunPosition
from poise.training.accumulation import accumulate_gradients
from poise.training.capacity import check_builds
from poise.training.loop import TrainingState, train_steps
from poise.training.optimizer import build_optimizer
from poise.training.parallel import spread
from poise.training.schedule import Timetable
from tests.builders import TINY_VIT, random_batch, tiny_masked_recipe, tiny_recipe

Build = Callable[..., Recipe]
Trained = tuple[TrainingState, list[dict[str, float]]]

STEPS = 4
TOLERANCE = 1e-5


@pytest.fixture(params=[tiny_recipe, tiny_masked_recipe], ids=["dino", "mae"])
def build(request: pytest.FixtureRequest) -> Build:
    """Makes a small recipe of the objective. Branches are dropped and every step is logged."""

    def made(**changes: Any) -> Recipe:
        usual = {"backbone__drop_path": 0.3, "training__log_every_steps": 1}
        recipe: Recipe = request.param(**usual | changes)
        return recipe

    return made


def batch_of(recipe: Recipe, step: int) -> ViewBatch:
    """The global batch of a step; every step has other samples."""
    batch = random_batch(recipe, seed=step)
    ids = batch.sample_ids + step * len(batch)
    return ViewBatch(**{**vars(batch), "sample_ids": ids})


def train(recipe: Recipe, rank: int = 0, world_size: int = 1) -> Trained:
    """Some steps of a run on one of its workers, and the metrics that do not tell the time."""
    torch.manual_seed(recipe.seed)
    objective = build_objective(recipe, Photometry(recipe.data.views, (0.5,) * 3, (0.25,) * 3))
    state = TrainingState(objective, build_optimizer(recipe.optimizer, objective.trainable))
    shares = (batch_of(recipe, step).split(recipe.worker_batch_size)[rank] for step in range(STEPS))
    reports = train_steps(
        Timetable(recipe, STEPS), state, shares, spread(objective, world_size), rank
    )
    metrics = [
        {name: value for name, value in report.metrics.items() if "throughput" not in name}
        for report in islice(reports, STEPS)
    ]
    return state, metrics


def tensors(state: TrainingState) -> dict[str, Tensor]:
    """Weights, centre and teacher, and the moments of the optimiser."""
    moments = {
        f"{index}.{name}": value
        for index, values in state.optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    return {**state.objective.state_dict(), **moments}


def without_key_biases(name: str, value: Tensor) -> Tensor:
    """Leaves out what attention does not depend on: a constant that all keys share.

    Its gradient is rounding alone, which AdamW scales up to a step of the usual size.
    """
    if not name.endswith("attn.qkv.bias"):
        return value
    query, _, values = value.chunk(3)
    return torch.cat([query, values])


def check_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        here, there = (without_key_biases(name, each) for each in (found[name], value))
        torch.testing.assert_close(here, there, rtol=TOLERANCE, atol=TOLERANCE, msg=name)


def check_same_metrics(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    for here, there in zip(found, expected, strict=True):
        assert here == pytest.approx(there, rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize(("micro_batch_size", "optimizer"), [(1, "adamw"), (4, "sgd"), (2, "lars")])
def test_micro_batches_train_as_the_whole_batch_does(
    build: Build, micro_batch_size: int, optimizer: str
) -> None:
    whole, expected = train(build(optimizer__name=optimizer))
    parts, found = train(
        build(optimizer__name=optimizer, training__micro_batch_size=micro_batch_size)
    )
    check_same(tensors(parts), tensors(whole))
    check_same_metrics(found, expected)


def test_a_micro_batch_that_holds_the_whole_share_changes_no_bit(build: Build) -> None:
    whole, expected = train(build())
    parts, found = train(build(training__micro_batch_size=64))
    assert found == expected
    there = tensors(whole)
    assert all(torch.equal(value, there[name]) for name, value in tensors(parts).items())


def _buckets_sent(recipe: Recipe, state: TrainingState, micro_batch_size: int) -> int:
    """How many buckets of gradients one step of two workers sends."""
    model = spread(state.objective, world_size=2)
    workers = dist.group.WORLD
    assert isinstance(model, DistributedDataParallel) and workers is not None
    sent: list[int] = []

    def count(
        _: None,
        bucket: dist.GradBucket,  # type: ignore[name-defined]
    ) -> torch.futures.Future[Tensor]:
        sent.append(bucket.index())
        return allreduce_hook(workers, bucket)

    model.register_comm_hook(None, count)
    parts = random_batch(recipe, batch_size=4).split(micro_batch_size)
    accumulate_gradients(model, parts, RunPosition(0, 4, 8), recipe.training, lambda _: None)
    return len(sent)


def _work(rank: int, folder: str, masked: bool) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    make = tiny_masked_recipe if masked else tiny_recipe
    changes = {"backbone__drop_path": 0.3, "training__log_every_steps": 1}
    recipe = make(**changes, training__num_workers=2, training__micro_batch_size=2)
    state, metrics = train(recipe, rank, world_size=2)
    torch.save({"tensors": tensors(state), "metrics": metrics}, f"{folder}/{rank}.pt")
    sent = [_buckets_sent(recipe, state, size) for size in (4, 2)]
    assert sent[0] == sent[1] > 0, "gradients travel once a step, with the last micro-batch"
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True], ids=["dino", "mae"])
def test_two_workers_with_micro_batches_train_as_one_without(tmp_path: Path, masked: bool) -> None:
    spawn(_work, args=(str(tmp_path), masked), nprocs=2)
    make = tiny_masked_recipe if masked else tiny_recipe
    whole, expected = train(make(backbone__drop_path=0.3, training__log_every_steps=1))
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        check_same(found["tensors"], tensors(whole))
        check_same_metrics(found["metrics"], expected)


def test_a_batch_is_cut_in_order_and_every_part_has_all_its_views() -> None:
    recipe = tiny_recipe()
    batch = random_batch(recipe)
    first, second, third = batch.split(3)
    assert [len(part) for part in (first, second, third)] == [3, 3, 2]
    assert torch.equal(torch.cat([first.sample_ids, second.sample_ids, third.sample_ids]),
                       batch.sample_ids)  # fmt: skip
    assert torch.equal(second.local_views, batch.local_views[:, 3:6])
    assert second.global_photometry.shape == (2, 3, batch.global_photometry.shape[2])
    assert batch.split(8) == [batch]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"micro_batch_size": 3}, r"micro_batch_size=3 does not divide the 8 .* 2 does"),
        ({"micro_batch_size": 3, "num_workers": 2}, r"does not divide the 4 images of a worker"),
        ({"micro_batch_size": 7, "batch_size": 2**61 - 1}, r"does not divide .* 1 does"),
        ({"micro_batch_size": 10**17, "batch_size": 10**18 + 9}, r"does not divide .* 1 does"),
    ],
)
def test_a_size_that_does_not_divide_a_workers_share_is_refused(
    changes: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_recipe(**{f"training__{name}": value for name, value in changes.items()})


def test_the_same_recipe_fits_more_workers_whose_shares_become_small() -> None:
    sizes = [
        tiny_recipe(training__num_workers=workers, training__micro_batch_size=2).micro_batch_size
        for workers in (1, 2, 4, 8)
    ]
    assert sizes == [2, 2, 2, 1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"backbone": {"name": "resnet10t", "drop_path": 0}}, "batch norms"),
        ({"objective__head__batch_norm": True}, "batch norms"),
        ({"backbone__options": {**TINY_VIT, "proj_drop_rate": 0.1}}, "dropout of 0.1"),
        ({"backbone__options": {**TINY_VIT, "patch_drop_rate": 0.25}}, "dropout of patches"),
    ],
)
def test_a_model_that_looks_at_the_whole_batch_takes_no_micro_batches(
    changes: dict[str, Any], reason: str
) -> None:
    check_builds(tiny_recipe(**changes))
    check_builds(tiny_recipe(**changes, training__micro_batch_size=8))
    with pytest.raises(PoiseError, match=f"micro_batch_size=4: .*{reason}"):
        check_builds(tiny_recipe(**changes, training__micro_batch_size=4))


def test_learning_from_labels_takes_no_micro_batches() -> None:
    views = {"global_px": 16, "global_count": 1, "local_count": 0}
    with pytest.raises(ValueError, match="micro_batch_size=4: objective probe reads its whole"):
        tiny_recipe(
            objective={"name": "probe", "model": "nowhere"}, data__views=views,
            training__micro_batch_size=4,
        )  # fmt: skip


def test_statistics_of_a_batch_take_no_more_memory_for_more_micro_batches() -> None:
    def bytes_of(num_parts: int) -> int:
        seen = BatchStatistics()
        for _ in range(num_parts):
            probs = torch.rand(2, 8, 512)
            seen.add(
                Observation(
                    views=torch.rand(8, 3, 16, 16), features=torch.rand(2, 8, 24),
                    teacher_probs=probs, student_logits=torch.rand(4, 8, 512),
                    predictions=torch.rand(64, 48), targets=torch.rand(64, 48),
                ),
                1 / num_parts,
            )  # fmt: skip
        kept = [seen.mean_probs, seen.moments, seen.features, seen.views]
        return sum(each.untyped_storage().nbytes() for each in kept if each is not None)

    enough = MAX_FEATURES // 16
    assert bytes_of(4 * enough) == bytes_of(enough)
