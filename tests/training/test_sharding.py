"""Sharded training: workers that share all weights train as one worker that has them."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.multiprocessing.spawn import spawn

from poise.config import PoiseError, Recipe
from poise.models.package import load_backbone, save_backbone
from poise.training.capacity import check_builds
from poise.training.checkpoint import load_checkpoint, save_checkpoint
from poise.training.loop import TrainingState, new_state, train_steps
from poise.training.parallel import spread
from poise.training.schedule import Timetable
from poise.training.sharded_state import gathered, gathered_objective, scattered
from tests.benchmarks.scale.sharded_memory import as_on_a_gpu
from tests.builders import TINY_VIT, tiny_masked_recipe, tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset
from tests.training.test_accumulation import batch_of, check_same, check_same_metrics, tensors

STEPS = 4
CPU = torch.device("cpu")

CASES: dict[str, tuple[Callable[..., Recipe], dict[str, Any]]] = {
    "dino": (tiny_recipe, {}),
    "dino, all together clipped, in parts, recomputed": (
        tiny_recipe,
        {
            "optimizer__clip_mode": "global",
            "optimizer__clip_grad": 0.1,
            "training__micro_batch_size": 1,
            "training__activation_checkpointing": True,
            "backbone__num_registers": 2,
        },
    ),
    "dino, lars, prototypes frozen at first": (
        tiny_recipe,
        {
            "optimizer__name": "lars",
            "objective__freeze_last_layer_epochs": 1,
            "objective__head__normalize_last_layer": False,
        },
    ),
    "mae": (tiny_masked_recipe, {}),
    "mae, sgd, in parts, recomputed": (
        tiny_masked_recipe,
        {
            "optimizer__name": "sgd",
            "training__micro_batch_size": 1,
            "training__activation_checkpointing": True,
        },
    ),
}
WHOLE: dict[str, Any] = {
    "training__micro_batch_size": None,
    "training__activation_checkpointing": False,
}


def recipe_of(case: str, folder: Path, num_workers: int = 1, **changes: Any) -> Recipe:
    make, settings = CASES[case]
    usual = {
        "data__dataset": str(folder / "images"),
        "backbone__drop_path": 0.3,
        "training__log_every_steps": 1,
        "training__num_workers": num_workers,
        "training__sharding": "full" if num_workers > 1 else "none",
    }
    return make(**usual | settings | changes)


def steps_of(
    recipe: Recipe, state: TrainingState, rank: int = 0, until: int = STEPS
) -> list[dict[str, float]]:
    """Trains up to a step, on one worker. Returns the metrics that do not tell the time."""
    shares = (
        batch_of(recipe, step).split(recipe.worker_batch_size)[rank]
        for step in range(state.step, until)
    )
    model = spread(state.objective, recipe.training.num_workers)
    reports = train_steps(Timetable(recipe, STEPS // 2), state, shares, model, rank)
    return [
        {name: value for name, value in report.metrics.items() if "throughput" not in name}
        for report in islice(reports, until - state.step)
    ]


def begun(recipe: Recipe, rank: int, checkpoint: Path | None = None) -> TrainingState:
    """The state that one worker of a sharded run begins with."""
    start = None
    if rank == 0:
        whole = new_state(recipe, CPU)
        start = whole, load_checkpoint(checkpoint, whole, recipe) if checkpoint else []
    return scattered(start, recipe, CPU)[0]


def check_parts(state: TrainingState, num_workers: int) -> None:
    """Every worker has its share of weights, teacher, gradients and moments, and no more."""
    for group in (
        [*state.objective.parameters()],
        [p.grad for p in state.objective.trainable.parameters() if p.grad is not None],
        [value for values in state.optimizer.state.values() for value in values.values()
         if isinstance(value, Tensor) and value.ndim],
    ):  # fmt: skip
        assert all(isinstance(each, DTensor) for each in group)
        kept = sum(each.to_local().numel() for each in group if isinstance(each, DTensor))
        whole = sum(each.numel() for each in group if each is not None)
        assert kept <= 1.1 * whole / num_workers
    teacher = state.objective.reference
    for there, here in zip(
        teacher.parameters() if teacher else (),
        state.objective.trainable.parameters(),
        strict=False,
    ):
        assert isinstance(there, DTensor) and isinstance(here, DTensor)
        assert there.placements == here.placements


def _work(rank: int, folder: Path, num_workers: int) -> None:
    """One process of several. Of four, two also train together before."""
    torch.set_num_threads(1)
    for together in (2, 4):
        if rank < together <= num_workers:
            store = f"file://{folder}/store-{together}"
            dist.init_process_group("gloo", init_method=store, rank=rank, world_size=together)
            if together == num_workers:
                _train_all(rank, folder, num_workers)
            _go_on(rank, folder, together)
            dist.destroy_process_group()


def _train_all(rank: int, folder: Path, num_workers: int) -> None:
    for number, case in enumerate(CASES):
        recipe = recipe_of(case, folder, num_workers)
        state = begun(recipe, rank)
        metrics = steps_of(recipe, state, rank)
        check_parts(state, num_workers)
        whole = gathered(state, recipe, rank == 0)
        assert (whole is None) == (rank > 0)
        if whole is not None:
            found = {"tensors": tensors(whole), "metrics": metrics}
            torch.save(found, folder / f"{number}.pt")
    with as_on_a_gpu():
        recipe = recipe_of("dino", folder, num_workers, training__precision="bf16")
        metrics = steps_of(recipe, begun(recipe, rank), rank)
        torch.save(metrics, folder / f"bf16-{rank}.pt")


def _go_on(rank: int, folder: Path, num_workers: int) -> None:
    """Carries on with the run that other numbers of workers began, for one more step."""
    recipe, before = recipe_of("dino", folder, num_workers), num_workers // 2
    state = begun(recipe, rank, folder / f"checkpoint-{before}")
    step = state.step + 1
    metrics = steps_of(recipe, state, rank, until=step)
    whole = gathered(state, recipe, rank == 0)
    objective = gathered_objective(state.objective, recipe, rank == 0)
    if whole is not None and objective is not None:
        save_checkpoint(folder / f"checkpoint-{num_workers}", whole, recipe, [(step, metrics[0])])
        config = {"backbone": recipe.backbone.described, "image_px": 16}
        save_backbone(folder / f"package-{num_workers}", objective.backbone, config)
    with CommDebugMode() as exchanged:
        state.objective._logit_sum = torch.ones(33)
        state.objective.after_step(Timetable(recipe, 2).position(3))
    assert exchanged.get_total_counts() == 1, "the sum for the centre; the teacher needs nobody"


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.heavy)])
def num_workers(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, num_workers: int) -> Path:
    """What a run of one worker and runs of several left behind."""
    folder = tmp_path_factory.mktemp("sharding")
    write_dataset(folder / "images", [encode(smooth_image(i, 24, 20)) for i in range(16)])
    recipe = recipe_of("dino", folder)
    state = new_state(recipe, CPU)
    metrics = steps_of(recipe, state, until=1)
    save_checkpoint(folder / "checkpoint-1", state, recipe, [(1, metrics[0])])
    spawn(_work, args=(folder, num_workers), nprocs=num_workers)
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> Iterator[Callable[[str], tuple[TrainingState, list[dict[str, float]]]]]:
    """The same runs of one worker, of whole batches."""
    found: dict[str, tuple[TrainingState, list[dict[str, float]]]] = {}

    def trained(case: str) -> tuple[TrainingState, list[dict[str, float]]]:
        if case not in found:
            recipe = recipe_of(case, folder, **WHOLE)
            state = new_state(recipe, CPU)
            found[case] = state, steps_of(recipe, state)
        return found[case]

    yield trained


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_workers_that_share_weights_train_as_one_worker(
    folder: Path, alone: Any, case: str
) -> None:
    found = torch.load(folder / f"{[*CASES].index(case)}.pt", weights_only=True)
    state, metrics = alone(case)
    check_same(found["tensors"], tensors(state))
    check_same_metrics(found["metrics"], metrics)


@pytest.mark.slow
def test_blocks_that_gather_bf16_train_as_autocast_does(folder: Path) -> None:
    with as_on_a_gpu():
        recipe = recipe_of("dino", folder, training__precision="bf16")
        alone = steps_of(recipe, new_state(recipe, CPU))
    found = torch.load(folder / "bf16-0.pt", weights_only=True)
    for name in ("loss/total", "teacher/entropy", "gradient/norm", "teacher/update_size"):
        assert found[0][name] == pytest.approx(alone[0][name], rel=2e-3), name
    # Later steps amplify the rounding of gradients, which autocast alone does as well.
    losses = [[metrics["loss/total"] for metrics in run] for run in (found, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@pytest.mark.slow
def test_a_run_goes_on_with_twice_the_workers_and_then_with_one(
    folder: Path, alone: Any, num_workers: int
) -> None:
    recipe = recipe_of("dino", folder)
    state, ended = new_state(recipe, CPU), 1 + num_workers // 2
    history = load_checkpoint(folder / f"checkpoint-{num_workers}", state, recipe)
    assert (state.step, len(history)) == (ended, 1)
    metrics = steps_of(recipe, state)
    uninterrupted, expected = alone("dino")
    check_same(tensors(state), tensors(uninterrupted))
    check_same_metrics(metrics, expected[ended:])


@pytest.mark.slow
def test_the_package_of_a_sharded_run_is_one_like_any_other(folder: Path, num_workers: int) -> None:
    backbone, _ = load_backbone(folder / f"package-{num_workers}")
    recipe = recipe_of("dino", folder)
    state = new_state(recipe, CPU)
    load_checkpoint(folder / f"checkpoint-{num_workers}", state, recipe)
    for name, value in state.objective.backbone.state_dict().items():
        assert torch.equal(value, backbone.state_dict()[name])


def test_a_state_that_is_not_sharded_is_its_own_whole(tmp_path: Path) -> None:
    write_dataset(tmp_path / "images", [encode(smooth_image(i, 24, 20)) for i in range(8)])
    recipe = recipe_of("mae", tmp_path)
    state = new_state(recipe, CPU)
    assert gathered(state, recipe, is_first=True) is state
    assert gathered_objective(state.objective, recipe, is_first=False) is state.objective


def test_only_transformers_are_sharded() -> None:
    check_builds(tiny_recipe(training__sharding="full"))
    with pytest.raises(PoiseError, match=r"sharding=full: .*no transformer blocks .*to none"):
        check_builds(
            tiny_recipe(backbone={"name": "resnet10t", "drop_path": 0}, training__sharding="full")
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training__compile": True}, "sharding=full: .* set training.compile=false"),
        (
            {
                "objective": {"name": "probe", "model": "nowhere"},
                "data__views": {"global_px": 16, "global_count": 1, "local_count": 0},
            },
            "sharding=full: objective probe .* set it to none",
        ),
    ],
)
def test_what_cannot_be_sharded_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_recipe(**changes, training__sharding="full")


def test_registers_and_positions_are_cut_along_their_width() -> None:
    from poise.training.sharding import _cut_for

    cut = _cut_for(8)
    shapes = [(64, 3), (4, 7), (1, 17, 64), (7,), (1, 1, 20)]
    assert [cut(torch.nn.Parameter(torch.empty(shape))).dim for shape in shapes] == [0, 0, 2, 0, 0]
    assert TINY_VIT["embed_dim"] % 4 == 0
