"""Runs on real Ray Train workers: exact resumption, and any number of workers."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from poise.config import Recipe
from poise.config.locations import Location
from poise.diagnostics.history import History
from poise.diagnostics.judge import VerdictKind, judge
from poise.models.package import load_backbone, save_backbone
from poise.training.checkpoint import STATE_FILE, read_run
from poise.training.checkpoint_store import LAST_GOOD
from poise.training.in_process import fit_in_process
from poise.training.loop import is_lost
from poise.training.spec import BACKBONE_FOLDER, Outcome, RunSpec
from poise.training.worker import fit
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:ray.data.context"),
]

STEPS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Path:
    folder = tmp_path_factory.mktemp("training")
    write_dataset(folder / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    return folder


def recipe_in(folder: Path, **changes: object) -> Recipe:
    return tiny_recipe(
        data__dataset=str(folder / "dataset"),
        training__epochs=5,
        training__log_every_steps=1,
        training__checkpoint_every_steps=8,
        **changes,
    )


def run(folder: Path, name: str, **changes: object) -> Outcome:
    return fit(RunSpec(recipe_in(folder, **changes), name, Location.of(folder / "runs")))


@pytest.fixture(scope="module")
def uninterrupted(folder: Path) -> Outcome:
    """The whole run, in this process: the runs of workers below must give the same."""
    return fit_in_process(RunSpec(recipe_in(folder), "whole", Location.of(folder / "runs")))


def losses(history: History) -> list[float]:
    return [metrics["loss/total"] for _, metrics in history]


def tensors(outcome: Outcome) -> dict[str, torch.Tensor]:
    state = torch.load(outcome.checkpoint / STATE_FILE, weights_only=True)
    moments = {
        f"{index}.{name}": value
        for index, values in state["optimizer"]["state"].items()
        for name, value in values.items()
    }
    both: dict[str, torch.Tensor] = state["objective"] | moments
    return both


def test_a_run_of_two_workers_one_after_the_other_is_the_uninterrupted_one_bit_for_bit(
    folder: Path, uninterrupted: Outcome
) -> None:
    first = run(folder, "halves", training__stop_after_steps=10)
    assert len(first.history) == 10
    second = run(folder, "halves")
    assert [step for step, _ in second.history] == list(range(1, STEPS + 1))
    assert losses(second.history) == losses(uninterrupted.history)
    expected = tensors(uninterrupted)
    found = tensors(second)
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def test_a_run_in_this_process_is_resumed_bit_for_bit_too(
    folder: Path, uninterrupted: Outcome
) -> None:
    def run_here(**changes: object) -> Outcome:
        recipe = recipe_in(folder, training__keep_checkpoints=1, **changes)
        return fit_in_process(RunSpec(recipe, "here", Location.of(folder / "runs")))

    assert len(run_here(training__stop_after_steps=10).history) == 10
    here = run_here()
    assert losses(here.history) == losses(uninterrupted.history)
    expected, found = tensors(uninterrupted), tensors(here)
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    kept = [path.name for path in (folder / "runs" / "here").iterdir() if path.is_dir()]
    assert kept == [here.checkpoint.name], "the newest alone, as its recipe says"


def test_two_workers_train_as_one_does_with_the_same_global_batch(
    folder: Path, uninterrupted: Outcome
) -> None:
    two = run(folder, "two", training__num_workers=2)
    assert len(two.history) == STEPS
    assert losses(two.history) == pytest.approx(losses(uninterrupted.history), abs=1e-4)
    for name in ("teacher/entropy", "teacher/mutual_information", "features/rankme"):
        ours = [metrics[name] for _, metrics in two.history]
        theirs = [metrics[name] for _, metrics in uninterrupted.history]
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)


def test_two_workers_that_diverge_stop_together_and_keep_the_last_good_checkpoint(
    folder: Path,
) -> None:
    changes = {
        "training__num_workers": 2,
        "training__keep_checkpoints": 1,
        "optimizer__base_lr": 1e38,
        "optimizer__warmup_epochs": 2,
    }
    recipe = recipe_in(folder, **changes)
    steps = recipe.training.model_copy(update={"checkpoint_every_steps": 1})
    recipe = recipe.model_copy(update={"training": steps})
    lost = fit(RunSpec(recipe, "lost", Location.of(folder / "runs")))
    last, metrics = lost.history[-1]
    assert 1 < last < STEPS and is_lost(metrics)
    assert judge(lost.history, recipe.signals, STEPS).kind is VerdictKind.DIVERGED
    good = Location.of(folder / "runs" / "lost" / LAST_GOOD)
    assert read_run(good)["step"] == last - 1
    kept = torch.load(good / STATE_FILE, weights_only=True)["objective"]
    assert all(torch.isfinite(value).all() for value in kept.values())


@pytest.mark.heavy
def test_two_workers_share_weights_and_one_worker_goes_on_with_all_of_them(
    folder: Path, uninterrupted: Outcome
) -> None:
    def probe(backbone: nn.Module, device: torch.device, *_: object) -> Iterator[tuple[str, float]]:
        yield "answer", float(backbone(torch.ones(1, 3, 16, 16, device=device)).detach().norm())

    recipe = recipe_in(
        folder, training__num_workers=2, training__sharding="full", training__micro_batch_size=2,
        training__stop_after_steps=10,
    )  # fmt: skip
    config = {"backbone": recipe.backbone.described, "image_px": 16}
    first = fit(
        RunSpec(
            recipe, "shared", Location.of(folder / "runs"), probe=probe,
            export=partial(save_backbone, config=config),
        )
    )  # fmt: skip
    backbone, _ = load_backbone(first.checkpoint / BACKBONE_FOLDER)
    ((_, answer),) = probe(backbone, torch.device("cpu"))
    assert first.history[-1][1]["eval/answer"] == pytest.approx(answer)
    second = run(folder, "shared")
    assert len(second.history) == 1 + STEPS, "with the figures from before the first step"
    found = [metrics["loss/total"] for step, metrics in second.history if step]
    assert found == pytest.approx(losses(uninterrupted.history), abs=1e-4)
