"""The stream on a real Ray cluster."""

import gc
import multiprocessing
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil
import pytest
import ray
import torch

from poise.config import PoiseError, Recipe, override
from poise.config.recipe import DataConfig, OptimizerConfig
from poise.config.training import TrainingConfig
from poise.config.views import ViewsConfig
from poise.data.batch import ViewBatch
from poise.data.stream.stream import view_stream
from tests.data.builders import encode, smooth_image, write_blobs, write_dataset
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    # Ray Data sets its own deprecated settings whenever it copies a context
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:ray.data.context"),
]


@pytest.fixture
def recipe(tmp_path: Path, ray_cluster: None) -> Recipe:
    write_blobs(tmp_path / "blobs", 26)
    return Recipe(
        name="stream",
        data=DataConfig(
            dataset=str(tmp_path / "blobs"),
            views=ViewsConfig(global_px=16, local_px=8, local_count=2),
            cut_processes=0,
        ),
        training=TrainingConfig(epochs=2, batch_size=8),
        optimizer=OptimizerConfig(warmup_epochs=0),
    )


def same(first: ViewBatch, second: ViewBatch) -> bool:
    return all(torch.equal(value, vars(second)[name]) for name, value in vars(first).items())


@pytest.mark.parametrize("placement", ["worker", "cluster"])
def test_through_ray_come_the_batches_that_are_read_here(recipe: Recipe, placement: str) -> None:
    placed = override(recipe, {"data.placement": placement}, "test")
    for rank in (0, 1):
        through_ray = list(view_stream(placed, rank, 2, start_step=1))
        here = list(view_stream(recipe, rank, 2, start_step=1, source="local"))
        assert len(through_ray) == 5
        assert all(map(same, through_ray, here))


def test_it_streams_though_every_cpu_is_reserved(recipe: Recipe) -> None:
    every_cpu = [{"CPU": ray.cluster_resources()["CPU"]}]
    reserved = ray.util.placement_group(every_cpu)
    try:
        ray.get(reserved.ready())
        assert ray.available_resources().get("CPU", 0) == 0
        assert len(list(view_stream(recipe, 0, 1))) == 6
    finally:
        ray.util.remove_placement_group(reserved)


def test_closing_the_stream_ends_its_execution(recipe: Recipe) -> None:
    long = override(recipe, {"training.epochs": 100_000, "data.cut_processes": 1}, "test")
    stream = view_stream(long, 0, 1)
    assert len(list(islice(stream, 3))) == 3
    assert reading_tasks(), "if this finds none, what it finds later says nothing"
    assert isinstance(stream, Iterator)
    stream.close()
    gc.collect()
    assert multiprocessing.active_children() == []
    wait_until(lambda: reading_tasks() == [])


def reading_tasks() -> list[str]:
    """Processes of this cluster that run a task of the stream; Ray names them after it."""
    processes = psutil.Process().children(recursive=True)
    return [title for process in processes if "encoded_rows" in (title := title_of(process))]


def title_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended meanwhile
        return ""


def test_a_damaged_image_is_one_clear_line_through_ray(tmp_path: Path, recipe: Recipe) -> None:
    images = [encode(smooth_image(index, 20, 20)) for index in range(8)]
    images[5] = images[5][:60]
    write_dataset(tmp_path / "damaged", images)
    for placement in ("worker", "cluster"):
        settings = {"data.dataset": str(tmp_path / "damaged"), "data.placement": placement}
        with pytest.raises(PoiseError, match=r"^sample 5 .*prepare` again$"):
            list(view_stream(override(recipe, settings, "test"), 0, 1))
