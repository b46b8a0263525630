"""Scenes with masks from prepared datasets to a report with a picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.data.annotations import IGNORED, AnnotationReader
from poise.data.dataset import ImageDataset
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.evaluation.reading.images import EvaluationImages, crop_mask
from poise.evaluation.reading.inference import Bench
from poise.evaluation.report import EvaluationReport, EvaluationTask
from poise.evaluation.segmentation import patches
from poise.evaluation.segmentation.classes import ClassMap, Meaning
from poise.evaluation.segmentation.report import (
    TrainingSet,
    _ClassMapReader,
    report_segmentation,
)

PX, PATCH_PX = 32, 4


class Oracle(nn.Module):
    """A backbone whose patch tokens say how much of the patch is the object.

    It knows an image by its pixels. With ``noise`` its tokens know nothing.
    """

    patch_px, num_prefix_tokens, feature_dim = PATCH_PX, 1, 4

    def __init__(self, folders: tuple[Path, ...], noise: bool = False) -> None:
        super().__init__()
        self.noise = noise
        self.known: dict[float, Tensor] = {}
        for folder in folders:
            dataset = ImageDataset.open(folder)
            reader = AnnotationReader(dataset, "mask")
            done = 0
            for images, _ in EvaluationImages(dataset, PX).batches(16):
                found = reader.read(np.arange(done, done + len(images)))
                for image, mask in zip(images, found.masks, strict=True):
                    cut = torch.from_numpy(crop_mask(mask, PX).copy()).float()
                    self.known[float(image.double().sum())] = cut
                done += len(images)

    def tokens(self, images: Tensor) -> Tensor:
        masks = torch.stack([self.known[self._key(image)] for image in images])
        share = nn.functional.avg_pool2d(masks[:, None], PATCH_PX).flatten(2).transpose(1, 2)
        draws = torch.Generator().manual_seed(0)
        held = torch.randn(len(images), share.shape[1], 4, generator=draws)
        if not self.noise:
            held[..., :1] = share
        return torch.cat([held[:, :1], held], dim=1)

    def _key(self, image: Tensor) -> float:
        return float((image * 255).round().double().sum())


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("segmentation")
    for name, seed, count in (("train", 1, 60), ("test", 2, 40)):
        prepare("scenes", folder / name, PrepareOptions(num_images=count, image_px=PX, seed=seed))
    return folder / "train", folder / "test"


def measure(
    scenes: tuple[Path, Path],
    out: Path,
    noise: bool = False,
    meaning: Meaning | None = None,
    batch_size: int = 7,
    max_images: int | None = None,
) -> EvaluationReport:
    train, test = (ImageDataset.open(folder) for folder in scenes)
    bench = Bench(([0.0] * 3, [1.0] * 3), torch.device("cpu"), batch_size=batch_size)
    task = EvaluationTask(Oracle(scenes, noise), test, bench, PX, out, max_images)
    return report_segmentation(task, TrainingSet(train, meaning))


def values(report: EvaluationReport) -> dict[str, float]:
    return {figure.name: figure.value for figure in report.figures_found}


def test_tokens_that_know_the_object_beat_pixels_and_the_commonest_class(
    scenes: tuple[Path, Path], tmp_path: Path
) -> None:
    report = measure(scenes, tmp_path)
    found = values(report)
    assert found["miou"] > 80 > found["pixels_miou"] > found["majority_miou"] - 5
    assert found["gain_over_pixels"] == pytest.approx(found["miou"] - found["pixels_miou"])
    assert {"iou_background", "iou_object", "pixel_accuracy"} <= set(found)
    assert report.num_images == 40 and report.measurement == "segmentation-linear-poise-v1"
    with Image.open(tmp_path / "segmentation.png") as picture:
        assert picture.width == 6 * (128 + 2)


@pytest.mark.slow
def test_tokens_that_know_nothing_have_the_commonest_class(
    scenes: tuple[Path, Path], tmp_path: Path
) -> None:
    found = values(measure(scenes, tmp_path, noise=True))
    assert found["miou"] == pytest.approx(found["majority_miou"], abs=3)


@pytest.mark.slow
def test_fewer_patches_of_each_image_and_other_batches_change_little(
    scenes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = values(measure(scenes, tmp_path))
    same = values(measure(scenes, tmp_path, batch_size=40))
    assert same["pixels_miou"] == pytest.approx(every["pixels_miou"], abs=0.5)
    monkeypatch.setattr(patches, "NUM_PATCHES", 60 * 16)
    report = measure(scenes, tmp_path)
    assert report.notes[0].startswith("Trained on 960 patches of 60 images")
    assert values(report)["miou"] == pytest.approx(every["miou"], abs=5)


@pytest.mark.slow
def test_the_label_of_an_image_may_be_the_class_of_its_object(
    scenes: tuple[Path, Path], tmp_path: Path
) -> None:
    report = measure(scenes, tmp_path, meaning="label")
    classes = ImageDataset.open(scenes[0]).manifest.classes
    assert {f"iou_{name}" for name in classes} <= set(values(report))
    assert report.changed == ("--classes=label",)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "changed"), [(60, ()), (50, ("--max-images=50",))])
def test_a_limit_that_only_cuts_the_training_set_is_in_the_report(
    scenes: tuple[Path, Path], tmp_path: Path, limit: int, changed: tuple[str, ...]
) -> None:
    report = measure(scenes, tmp_path, max_images=limit)
    assert report.num_images == 40 and report.changed == changed


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_a_set_whose_pixels_are_all_ignored_is_refused(
    scenes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    read = _ClassMapReader.__call__

    def ignoring(self: _ClassMapReader, sample_ids: NDArray[np.int64]) -> list[ClassMap]:
        maps = read(self, sample_ids)
        ignored = str(self._dataset.folder) == str(scenes[which])
        return [np.full_like(each, IGNORED) for each in maps] if ignored else maps

    monkeypatch.setattr(_ClassMapReader, "__call__", ignoring)
    with pytest.raises(PoiseError, match=f"{scenes[which].name}: all pixels of its images are ig"):
        measure(scenes, tmp_path)


def test_a_set_is_not_tested_on_itself(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="is the training set too"):
        measure((scenes[1], scenes[1]), tmp_path)
