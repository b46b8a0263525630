import gc
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from poise.config import PoiseError, Recipe, override
from poise.config.recipe import DataConfig, OptimizerConfig
from poise.config.training import TrainingConfig
from poise.config.views import ViewsConfig
from poise.data.batch import ViewBatch
from poise.data.dataset import EncodedBatch
from poise.data.preparation.ingest import prepare
from poise.data.stream import plan as plans
from poise.data.stream.image_rows import encoded_row, read_encoded
from poise.data.stream.stream import view_stream
from poise.data.stream.view_rows import read_views, views_row
from tests.data.builders import encode, smooth_image, write_blobs, write_dataset
from tests.data.deep_images import grey_file, ramp

VIEWS = ViewsConfig(global_px=16, local_px=8, local_count=2)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    write_blobs(tmp_path / "blobs", 26)
    return Recipe(
        name="stream",
        data=DataConfig(dataset=str(tmp_path / "blobs"), views=VIEWS, cut_processes=0),
        training=TrainingConfig(epochs=2, batch_size=8),
        optimizer=OptimizerConfig(warmup_epochs=0),
    )


def local(recipe: Recipe, rank: int = 0, world_size: int = 1, start: int = 0) -> list[ViewBatch]:
    return list(view_stream(recipe, rank, world_size, start, source="local"))


def same(first: ViewBatch, second: ViewBatch) -> bool:
    return all(torch.equal(value, vars(second)[name]) for name, value in vars(first).items())


def test_an_epoch_gives_each_sample_at_most_once_and_two_epochs_differ(recipe: Recipe) -> None:
    batches = local(recipe)
    assert len(batches) == 6  # 26 images make 3 batches of 8
    epochs = [torch.cat([batch.sample_ids for batch in batches[e : e + 3]]) for e in (0, 3)]
    for ids in epochs:
        assert len(set(ids.tolist())) == 24
    assert not torch.equal(*epochs)
    first, second = batches[:3], batches[3:]
    shared = set(epochs[0].tolist()) & set(epochs[1].tolist())
    for sample in sorted(shared)[:3]:
        views = [
            batch.global_views[:, batch.sample_ids == sample]
            for epoch in (first, second)
            for batch in epoch
            if (batch.sample_ids == sample).any()
        ]
        assert not torch.equal(*views)


def test_a_batch_size_that_divides_the_dataset_leaves_nothing_out(recipe: Recipe) -> None:
    batches = local(override(recipe, {"training.batch_size": 13}, "test"))
    for epoch in (batches[:2], batches[2:]):
        ids = torch.cat([batch.sample_ids for batch in epoch])
        assert sorted(ids.tolist()) == list(range(26))


def test_two_workers_share_the_batches_of_one(recipe: Recipe) -> None:
    halves = [local(recipe, rank, 2) for rank in (0, 1)]
    for whole, left, right in zip(local(recipe), *halves, strict=True):
        assert torch.equal(whole.sample_ids, torch.cat([left.sample_ids, right.sample_ids]))
        for name in ("global_views", "global_photometry", "local_views", "local_photometry"):
            parts = [getattr(half, name) for half in (left, right)]
            assert torch.equal(getattr(whole, name), torch.cat(parts, dim=1))


def test_the_number_of_workers_may_change_during_a_run(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MAX_WINDOW_SAMPLES", 16)  # so that there are lanes
    batches = local(recipe)
    for start, world_size in ((2, 4), (3, 2), (5, 8)):
        streams = [local(recipe, rank, world_size, start) for rank in range(world_size)]
        for whole, *shares in zip(batches[start:], *streams, strict=True):
            ids = torch.cat([share.sample_ids for share in shares])
            assert torch.equal(whole.sample_ids, ids)


@pytest.mark.parametrize("start", [1, 3, 4, 6])
def test_a_stream_may_start_at_any_step(recipe: Recipe, start: int) -> None:
    resumed = local(recipe, start=start)
    assert len(resumed) == 6 - start
    assert all(map(same, resumed, local(recipe)[start:]))


@pytest.mark.slow
def test_where_views_are_cut_changes_nothing_and_draws_nothing(recipe: Recipe) -> None:
    in_a_process = override(recipe, {"data.cut_processes": 1}, "test")
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert all(map(same, local(in_a_process), local(recipe)))
    assert torch.equal(state, torch.get_rng_state())  # else a resumed run would drop other paths


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 1])
def test_closing_the_stream_ends_what_it_started(recipe: Recipe, processes: int) -> None:
    long = override(recipe, {"training.epochs": 500, "data.cut_processes": processes}, "test")
    stream = view_stream(long, 0, 1, source="local")
    assert len(list(islice(stream, 3))) == 3
    assert len(multiprocessing.active_children()) == processes
    assert isinstance(stream, Iterator)
    stream.close()
    gc.collect()
    assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 1])
def test_an_image_that_cannot_be_decoded_is_one_clear_line(
    tmp_path: Path, recipe: Recipe, processes: int
) -> None:
    images = [encode(smooth_image(index, 20, 20)) for index in range(8)]
    images[5] = images[5][:60]
    write_dataset(tmp_path / "damaged", images)
    settings = {"data.dataset": str(tmp_path / "damaged"), "data.cut_processes": processes}
    with pytest.raises(PoiseError, match=r"^sample 5 .*prepare` again$"):
        local(override(recipe, settings, "test"))


def test_wrong_input_is_told_before_the_first_step(recipe: Recipe) -> None:
    with pytest.raises(PoiseError, match="batch_size=64"):
        view_stream(override(recipe, {"training.batch_size": 64}, "test"), 0, 1)
    with pytest.raises(PoiseError, match="not a prepared dataset"):
        view_stream(override(recipe, {"data.dataset": "nowhere"}, "test"), 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
def test_views_of_twelve_bit_images_are_scaled_by_the_manifest_on_every_way(
    recipe: Recipe, tmp_path: Path, processes: int
) -> None:
    (tmp_path / "twelve").mkdir()
    for number in range(9):
        (tmp_path / "twelve" / f"{number}.tif").write_bytes(grey_file(ramp(4095, 4095)))
    (tmp_path / "twelve" / "9.tif").write_bytes(grey_file(ramp(0, 4095)))
    prepare(str(tmp_path / "twelve"), tmp_path / "deep")
    keys = {
        "data.dataset": str(tmp_path / "deep"),
        "data.cut_processes": processes,
        "training.epochs": 1,
        "training.batch_size": 10,
    }
    (batch,) = local(override(recipe, keys, "test"))
    white = batch.sample_ids != 9
    assert (batch.global_views[:, white] == 255).all()
    assert (batch.local_views[:, white] == 255).all()


def test_a_row_of_encoded_images_keeps_the_ranges() -> None:
    ranges = {"uint16": (0.0, 4095.0), "float32": (-0.1, 1 / 3)}
    batch = EncodedBatch([b"a", b"bc"], np.array([0, -1]), np.array([4, 2]), ranges)
    epoch, read = read_encoded(encoded_row(3, batch))
    assert (epoch, list(read.images), read.ranges) == (3, [b"a", b"bc"], ranges)


def test_a_row_of_views_keeps_a_batch_with_labels_and_one_without(recipe: Recipe) -> None:
    batch = local(recipe)[0]
    assert same(batch, read_views(views_row(batch)))
    bare = replace(batch, labels=None)
    assert read_views(views_row(bare)).labels is None
