from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.evaluation.neighbours.landmark_images import OwnShapeImages, WholePatches
from poise.evaluation.neighbours.landmark_retrieval import (
    PICTURE,
    LandmarkProtocol,
    measure_landmarks,
)
from poise.evaluation.neighbours.landmarks import Landmarks, find_landmarks
from poise.evaluation.reading.inference import Bench
from poise.evaluation.report import EvaluationTask
from tests.evaluation.neighbours.benchmarks import save_landmarks

BENCH = Bench(([0.5] * 3, [0.25] * 3), torch.device("cpu"))


class MeanColor(nn.Module):
    """A backbone whose feature is the mean colour of the middle of an image."""

    patch_px = 4

    def forward(self, images: Tensor) -> Tensor:
        assert not any(side % 4 for side in images.shape[-2:])
        rows, columns = (side // 4 for side in images.shape[-2:])
        mean = images[..., rows:-rows, columns:-columns].mean(dim=(2, 3))
        return torch.cat([mean, torch.ones(len(mean), 1)], dim=1)


def opened(folder: Path) -> Landmarks:
    found = find_landmarks(folder)
    assert found is not None
    return found


def test_medium_and_hard_have_the_published_lists(tmp_path: Path) -> None:
    landmarks = opened(save_landmarks(tmp_path))
    assert landmarks.lists("medium")[1] == ((3, 4), (5,))
    assert landmarks.lists("hard")[1] == ((4,), (5, 3))
    assert landmarks.num_database == 9 and len(landmarks.files) == 12


@pytest.mark.slow
def test_a_backbone_that_knows_the_colour_finds_every_building(tmp_path: Path) -> None:
    landmarks = opened(save_landmarks(tmp_path))
    task = EvaluationTask(MeanColor(), landmarks.files, BENCH, 32, tmp_path)
    report = measure_landmarks(task, landmarks, LandmarkProtocol(40, multiscale=True))
    found = {figure.name: figure.value for figure in report.figures_found}
    assert found["map_medium"] == found["map_hard"] == found["precision_at_1_hard"] == 100
    assert report.measurement.startswith("retrieval-revisited-v1-changed-")
    assert report.changed == ("--image-px=40", "--multiscale")
    assert (tmp_path / PICTURE).stat().st_size > 1000
    with pytest.raises(PoiseError, match=r"--max-images 3: .* fixed list of images"):
        measure_landmarks(replace(task, max_images=3), landmarks, LandmarkProtocol())


def test_queries_are_cut_to_their_boxes_and_shrunk_at_their_own_proportions(tmp_path: Path) -> None:
    landmarks = opened(save_landmarks(tmp_path))
    images = OwnShapeImages(landmarks.files, 24, {9: landmarks.truth.gnd[0].bbx})
    shapes = [tuple(batch.shape) for batch, _ in images.batches(1)]
    assert shapes[0] == (1, 3, 18, 24)
    assert shapes[9] == (1, 3, 18, 24), "the box is 48 × 36, the whole image 60 × 40"
    assert shapes[10] == (1, 3, 16, 24)


def test_a_strip_that_is_narrower_than_a_patch_is_widened() -> None:
    class Shape(nn.Module):
        patch_px = 16

        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[float(side) for side in images.shape[-2:]]])

    found = WholePatches(Shape())(torch.zeros(1, 3, 9, 50))["features"]
    assert torch.allclose(found, nn.functional.normalize(torch.tensor([[16.0, 48.0]])))


def test_a_folder_without_ground_truth_is_no_benchmark(tmp_path: Path) -> None:
    assert find_landmarks(tmp_path) is None


def test_what_is_wrong_with_a_benchmark_is_said_in_one_line(tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "gnd_roxford5k.pkl").write_bytes(b"cos\nsystem\n(S'echo never'\ntR.")
    with pytest.raises(PoiseError, match=r"is a pickle.* gnd_roxford5k\.json"):
        find_landmarks(pickled)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"imlist": []}, "imlist: "),
        ({"gnd": [{"bbx": [0, 0, 1]}]}, r"gnd.0.bbx"),
        ({"qimlist": ["query_1"]}, "names 1 queries, and gnd has 3"),
        ({"imlist": ["easy_1"]}, "query query_1 lists image 1"),
        ({"qimlist": ["query_1", "query_2", "query_9"]}, "query_9.jpg: is missing"),
    ]
    for number, (changes, message) in enumerate(wrong):
        folder = save_landmarks(tmp_path / str(number), **changes)
        with pytest.raises(PoiseError, match=message) as error:
            find_landmarks(folder)
        assert "\n" not in str(error.value)
    two = save_landmarks(tmp_path / "two")
    (two / "gnd_other.json").write_text("{}")
    with pytest.raises(PoiseError, match=r"gnd_other\.json and gnd_tiny\.json"):
        find_landmarks(two)


def test_images_of_a_benchmark_are_the_same_in_another_process(tmp_path: Path) -> None:
    import pickle

    landmarks = opened(save_landmarks(tmp_path))
    images = OwnShapeImages(landmarks.files, 24, {9: landmarks.truth.gnd[0].bbx})
    travelled = pickle.loads(pickle.dumps(images)).only(np.array([0, 9, 11]))
    here = [batch for batch, _ in images.batches(1)]
    for batch, position in zip(travelled.batches(1), (0, 9, 11), strict=True):
        assert torch.equal(batch[0], here[position])
