"""Preparation measures the range that deep images use, once for the dataset, and says so."""

from pathlib import Path

import numpy as np
import pytest

from poise.config import PoiseError
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest, check_same_ranges
from poise.data.preparation.ingest import prepare, quarantine_reasons
from poise.data.preparation.preparation_progress import PrepareProgress
from poise.data.preparation.value_ranges import (
    Extent,
    decide_ranges,
    extent_of,
    range_sentences,
    range_warnings,
)
from poise.data.sources.options import PrepareOptions
from poise.data.views.bit_depth import DeepImage
from poise.data.views.decode import decode_rgb
from tests.data.deep_images import grey_file, nodata_file, png_file, ramp
from tests.data.images import encode, noise_image


def write(folder: Path, *files: bytes) -> Path:
    folder.mkdir()
    for number, data in enumerate(files):
        ending = "png" if data.startswith(b"\x89PNG") else "tif"
        (folder / f"{number:04d}.{ending}").write_bytes(data)
    return folder


def prepared(tmp_path: Path, *files: bytes, given: tuple[float, float] | None = None) -> Manifest:
    source = write(tmp_path / "source", *files)
    return prepare(str(source), tmp_path / "out", PrepareOptions(value_range=given))


def measured(*ends: tuple[float, float], container: str = "uint16") -> tuple[float, float]:
    extents = [
        Extent(row=row, container=container, low=low, high=high)
        for row, (low, high) in enumerate(ends)
    ]
    decided = decide_ranges(extents, None)[container]
    return decided.low, decided.high


@pytest.mark.parametrize(
    ("container", "low", "high", "expected"),
    [
        ("uint16", 0, 1000, (0, 1023)),
        ("uint16", 0, 3901, (0, 4095)),
        ("uint16", 100, 9000, (0, 16383)),
        ("uint16", 0, 60000, (0, 65535)),
        ("int32", 0, 234, (0, 255)),
        ("uint16", 29_300, 31_200, (29_300, 31_200)),  # a thermal camera
        ("uint16", 0, 20, (0, 20)),
        ("int16", -1024, 3071, (-1024, 3071)),
        ("int16", 3, 4000, (0, 4095)),
        ("uint32", 0, 5_000_000, (0, 5_000_000)),
        ("float32", 0, 0.98, (0, 1)),
        ("float32", 1, 248, (0, 255)),
        ("float32", -120, 4810, (-120, 4810)),
        ("float32", 0.4, 0.45, (0.4, 0.45)),
        ("float32", 2, 2, (0, 255)),
        ("float32", -7, -7, (-7, 0)),
        ("float32", 900, 900, (0, 900)),
    ],
)
def test_the_range_is_a_cameras_depth_where_images_fill_it_and_their_own_elsewhere(
    container: str, low: float, high: float, expected: tuple[float, float]
) -> None:
    assert measured((low, high), (low, high), container=container) == expected


def test_one_odd_image_among_many_does_not_change_the_range_and_is_counted() -> None:
    usual = [Extent(row=i, container="uint16", low=0, high=4000) for i in range(300)]
    odd = [
        Extent(row=300, container="uint16", low=0, high=65535),
        Extent(row=301, container="uint16", low=0, high=40),
        Extent(row=302, container="uint16", low=0, high=0),  # an empty frame is dark in any range
    ]
    decided = decide_ranges([*usual, *odd], None)["uint16"]
    assert (decided.low, decided.high) == (0, 4095)
    assert (decided.num_images, decided.num_dark, decided.num_clipped) == (303, 1, 1)
    (said,) = range_sentences({"uint16": decided})
    assert said == "12-bit values in 16-bit files: scaled by 4095 (303 images)"
    dark, clipped = range_warnings({"uint16": decided})
    assert "nearly black: 1 image " in dark and "--range LOW HIGH" in dark
    assert "clipped: 1 image " in clipped and "--range LOW HIGH" in clipped


@pytest.mark.parametrize("fill", [-9999.0, -3.4028235e38, 1e20, 9.969209968386869e36, np.inf])
def test_fill_values_far_from_the_others_are_left_out(fill: float) -> None:
    values = ramp(0, 250, "float32")
    values[3:9, 5:20] = fill
    finite = DeepImage("float32", values, holes=~np.isfinite(values))
    extent = extent_of(0, finite)
    assert extent.low is not None and extent.high is not None
    assert 0 <= extent.low < 2 and 248 < extent.high <= 250


def test_a_hot_pixel_and_a_black_margin_do_not_count_as_used_values() -> None:
    values = ramp(29_300, 31_200)
    values[0, 0], values[:, :4] = 65535, 0
    extent = extent_of(0, DeepImage("uint16", values))
    assert extent.low is not None and extent.low >= 29_300
    assert extent.high is not None and extent.high <= 31_200


def test_a_picture_of_two_levels_keeps_both() -> None:
    values = np.where(ramp(0, 1, "float32") > 0.5, 65535, 0).astype(np.uint16)
    extent = extent_of(0, DeepImage("uint16", values))
    assert (extent.low, extent.high) == (0, 65535)


def test_the_manifest_holds_one_scale_by_which_everything_is_decoded(tmp_path: Path) -> None:
    manifest = prepared(
        tmp_path, *(grey_file(ramp(0, high), "PNG") for high in (4000, 3000, 2000, 500))
    )
    assert manifest.ranges == {"uint16": (0, 4095)}
    assert Manifest.read(tmp_path / "out") == manifest
    batch = ImageDataset.open(tmp_path / "out").read(np.arange(4))
    decoded = [np.asarray(decode_rgb(data, batch.ranges)) for data in batch.images]
    assert [int(image.max()) for image in decoded] == [249, 187, 125, 31]
    pixels = np.stack(decoded).reshape(-1, 3) / 255
    np.testing.assert_allclose(manifest.channel_mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(manifest.channel_std, pixels.std(axis=0), rtol=1e-9)


def test_images_of_eight_and_of_sixteen_bits_go_together(tmp_path: Path) -> None:
    eight = [encode(noise_image(seed), "PNG") for seed in range(3)]
    deep = [png_file(np.stack([ramp(0, 4095)] * 3, axis=-1)), grey_file(ramp(0, 4095))]
    manifest = prepared(tmp_path, eight[0], deep[0], eight[1], deep[1], eight[2])
    assert manifest.ranges == {"uint16": (0, 4095)}
    assert manifest.value_ranges["uint16"].num_images == 2
    batch = ImageDataset.open(tmp_path / "out").read(np.arange(5))
    means = [
        (np.asarray(decode_rgb(data, batch.ranges)) / 255).mean(axis=(0, 1))
        for data in batch.images
    ]
    np.testing.assert_allclose(manifest.channel_mean, np.mean(means, axis=0), rtol=1e-12)


def test_images_of_eight_bits_alone_have_no_range_and_say_nothing(tmp_path: Path) -> None:
    manifest = prepared(tmp_path, *(encode(noise_image(seed), "PNG") for seed in range(3)))
    assert manifest.value_ranges == {}
    assert list(range_sentences(manifest.value_ranges)) == []


def test_a_range_that_is_given_overrules_what_is_measured(tmp_path: Path) -> None:
    files = [grey_file(ramp(0, 4000)), grey_file(ramp(0, 3000))]
    manifest = prepared(tmp_path, *files, given=(0.0, 2000.0))
    assert manifest.ranges == {"uint16": (0, 2000)}
    assert manifest.source.endswith("--range 0 2000")
    (said,) = range_sentences(manifest.value_ranges)
    assert said == "values in 16-bit files: scaled from 0 to 2000, as --range says (2 images)"
    (warning,) = range_warnings(manifest.value_ranges)
    assert "clipped: 2 images" in warning
    other = prepare(str(tmp_path / "source"), tmp_path / "other")
    assert other.fingerprint != manifest.fingerprint
    with pytest.raises(PoiseError, match="holds a different dataset"):
        prepare(str(tmp_path / "source"), tmp_path / "out")


@pytest.mark.parametrize("given", [(1.0, 1.0), (5.0, 0.0), (0.0, float("inf"))])
def test_a_range_without_extent_is_refused_before_anything_is_read(
    given: tuple[float, float], tmp_path: Path
) -> None:
    with pytest.raises(PoiseError, match=r"--range .* two finite numbers, the lower one first"):
        prepared(tmp_path, grey_file(ramp(0, 4000)), given=given)
    assert not (tmp_path / "out").exists()


def test_an_image_without_any_value_is_set_aside_and_a_constant_one_is_kept(
    tmp_path: Path,
) -> None:
    manifest = prepared(
        tmp_path,
        grey_file(np.full((24, 40), np.nan, np.float32)),
        grey_file(np.full((24, 40), 2, np.float32)),
        nodata_file(ramp(0, 250, "float32"), "0"),
        grey_file(np.full((24, 40), -9999, np.float32)),  # a tile of a map, outside its coast
    )
    assert (manifest.num_samples, manifest.num_quarantined) == (3, 1)
    assert quarantine_reasons(tmp_path / "out") == [("no pixel has a value", 1)]
    assert manifest.ranges == {"float32": (0, 255)}


def test_an_interrupted_preparation_decides_the_same_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poise.data.preparation import ingest

    monkeypatch.setattr(ingest, "SAMPLES_PER_SHARD", 2)
    source = write(tmp_path / "source", *(grey_file(ramp(0, 900 * i)) for i in range(1, 5)))
    whole = prepare(str(source), tmp_path / "whole")

    def interrupt(progress: PrepareProgress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(str(source), tmp_path / "broken", on_progress=interrupt)
    again = prepare(str(source), tmp_path / "broken")
    assert again.model_copy(update={"name": "whole"}) == whole
    assert whole.ranges == {"uint16": (0, 4095)}


def test_two_datasets_of_one_camera_must_be_scaled_by_one_range(tmp_path: Path) -> None:
    bright = write(tmp_path / "bright", grey_file(ramp(0, 4000)))
    dim = write(tmp_path / "dim", grey_file(ramp(0, 900)))
    prepare(str(bright), tmp_path / "train")
    prepare(str(dim), tmp_path / "test")
    with pytest.raises(PoiseError, match=r"the range 0 1023.* with `--range 0 4095`"):
        check_same_ranges(tmp_path / "train", tmp_path / "test")
    prepare(str(dim), tmp_path / "again", PrepareOptions(value_range=(0, 4095)))
    check_same_ranges(tmp_path / "train", tmp_path / "again")
