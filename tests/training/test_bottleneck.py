"""What a run says when training waits for data."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from poise.config import Recipe, override
from poise.data.stream.reader import Reader
from poise.data.stream.stage_times import StageTimes
from poise.data.stream.stream import view_stream
from poise.data.views.cutter import ViewCutter
from poise.training.bottleneck import BottleneckWatch, slowest_stage
from poise.training.interval_metrics import Meter
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    write_dataset(tmp_path / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    dataset = str(tmp_path / "dataset")
    return tiny_recipe(data__dataset=dataset, training__epochs=1, training__log_every_steps=1)


def slowed(function: Any, seconds: float) -> Any:
    def slow(*arguments: Any) -> Any:
        time.sleep(seconds)
        return function(*arguments)

    return slow


def said_by(recipe: Recipe) -> tuple[list[str], Mapping[str, float]]:
    """Takes the batches of four steps, as fast as they come; what is said, and the last metrics."""
    times, watch, said = StageTimes(), BottleneckWatch(recipe, looks_at_s=0), []
    meter, metrics = Meter(times=times), dict[str, float]()
    batches = view_stream(recipe, 0, 1, source="local", times=times)
    for step, batch in enumerate(meter.timed(batches), start=1):
        meter.count(len(batch), {"loss/total": torch.zeros(())})
        meter.read()
        metrics = meter.read_speed()
        sentence = watch.sentence(step, metrics)
        said += [sentence] if sentence else []
        meter.clear()
        meter.restart_clock()
    return said, metrics


def test_a_slow_source_is_named_with_its_speed_and_a_fix(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "read", slowed(Reader.read, 0.1))  # 8 images in 0.1 s
    (said,), metrics = said_by(recipe)
    assert said.startswith("step 2: data is the bottleneck: training waits for it ")
    assert "because reading images takes " in said
    assert "faster storage" in said
    assert metrics["throughput/read_images_per_s"] < 8 / 0.1
    waits = metrics["throughput/read_wait_share"], metrics["throughput/data_wait_share"]
    assert 0 < waits[0] <= waits[1]


def test_slow_cutting_is_named_with_the_processes_that_it_needs(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ViewCutter, "__call__", slowed(ViewCutter.__call__, 0.1))
    (said,), metrics = said_by(recipe)
    assert "because cutting views takes " in said
    assert "(now 0) with training.cpus_per_worker=" in said
    assert "data.placement=cpu_nodes or cluster" in said
    assert metrics["throughput/cut_images_per_s"] < 8 / 0.1


def of_interval(share: float, read: float = 100.0, cut: float = 100.0) -> dict[str, float]:
    return {
        "throughput/s_per_step": 1.0,
        "throughput/data_wait_share": share,
        "throughput/train_images_per_s": 50.0,
        "throughput/read_images_per_s": read,
        "throughput/cut_images_per_s": cut,
    }


@pytest.mark.parametrize(
    ("read", "cut", "stage"),
    [(10, 20, "reading"), (20, 10, "cutting"), (100, 10, "cutting"), (100, 90, "prefetch")],
)
def test_the_slowest_stage_is_the_one_that_training_waits_for(
    recipe: Recipe, read: float, cut: float, stage: str
) -> None:
    ahead = override(recipe, {"data.cut_processes": 2}, "test")
    assert slowest_stage(of_interval(0.5, read, cut), ahead) == stage
    if stage == "prefetch":  # without processes nothing is made in advance
        assert slowest_stage(of_interval(0.5, read, cut), recipe) == "cutting"


def test_the_user_is_told_once_and_again_when_it_is_over(recipe: Recipe) -> None:
    watch = BottleneckWatch(recipe, looks_at_s=10)
    slow, quick, between = of_interval(0.5, cut=10), of_interval(0.01), of_interval(0.07)
    assert watch.sentence(10, slow) is None, "the stages start"
    first = watch.sentence(30, slow)
    assert first is not None
    assert first.startswith("step 30: data is the bottleneck: training waits for it 50% ")
    assert "cutting views takes 10 images/s at most and training 50" in first
    assert watch.sentence(50, slow) is None
    assert watch.sentence(70, between) is None
    assert watch.sentence(74, quick) is None, "four seconds say little"
    assert watch.sentence(90, quick) == "step 90: data is no bottleneck any more (1% of the time)"


def test_batches_that_take_long_now_and_then_need_more_of_them_ready(recipe: Recipe) -> None:
    ahead = override(recipe, {"data.cut_processes": 2}, "test")
    watch = BottleneckWatch(ahead, looks_at_s=0)
    watch.sentence(1, of_interval(0.5))
    said = watch.sentence(2, of_interval(0.5))
    assert said is not None
    assert "data.prefetch_batches=8 (now 4)" in said


def test_a_step_without_speeds_says_nothing(recipe: Recipe) -> None:
    assert BottleneckWatch(recipe, looks_at_s=0).sentence(1, {"loss/total": 1.0}) is None
