"""The neuron that was planted is the neuron that is found."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from poise.config.errors import PoiseError
from poise.data.dataset import ImageDataset
from poise.evaluation.outliers.register_comparison import compare_with_original
from poise.evaluation.outliers.register_neurons import find_register_neurons, written_lengths
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench
from poise.models.test_time_registers import with_test_time_registers
from tests.data.builders import encode, write_dataset
from tests.planted import BLOCK, IMAGE_PX, NEURON, PATCH_PX, planted_backbone

# White is the trigger: (255/255 − 0) / (1/3) = 3.
BENCH = Bench(([0.0] * 3, [1 / 3] * 3), torch.device("cpu"), batch_size=7)
NUM_IMAGES, MARKED = 40, 30


@pytest.fixture
def images(tmp_path: Path) -> EvaluationImages:
    """Dark noise; two patches of each of the first 30 images are white."""
    encoded = []
    for index in range(NUM_IMAGES):
        draws = np.random.default_rng(index)
        # Larger than what is read, so that the centre is cut out and nothing is resized.
        pixels = draws.integers(0, 20, (37, 37, 3), dtype=np.uint8)
        if index < MARKED:
            for patch in draws.choice(16, 2, replace=False):
                top, left = (2 + PATCH_PX * int(each) for each in divmod(patch, 4))
                pixels[top : top + PATCH_PX, left : left + PATCH_PX] = 255
        encoded.append(encode(pixels))
    write_dataset(tmp_path / "marked", encoded)
    return EvaluationImages(ImageDataset.open(tmp_path / "marked"), IMAGE_PX)


def test_the_planted_neuron_is_found_and_no_other(images: EvaluationImages) -> None:
    found = find_register_neurons(planted_backbone(), images, BENCH)
    assert found.neurons == ((BLOCK, NEURON),)
    assert (found.num_images, found.num_outliers) == (NUM_IMAGES, 2 * MARKED)
    assert found.num_patches == 16 * NUM_IMAGES
    assert found.first_block == BLOCK
    (neuron,) = found.found
    assert neuron.at_outliers > 20 and neuron.elsewhere < 1
    assert neuron.written == pytest.approx(5 * (neuron.at_outliers - neuron.elsewhere), rel=1e-4)


def test_a_neuron_that_is_large_everywhere_or_writes_nothing_is_not_one(
    images: EvaluationImages,
) -> None:
    backbone = planted_backbone()
    with torch.no_grad():
        mlp = backbone.timm_model.blocks[0].mlp
        mlp.fc1.bias[4] = 1000
        mlp.fc2.weight[:, 4] = 1e-4
        mlp.fc1.weight[5], mlp.fc1.bias[5] = mlp.fc1.weight[5] * 0, 0
        mlp.fc1.weight[5, 0] = 100
        mlp.fc2.weight[:, 5] = 0
    assert find_register_neurons(backbone, images, BENCH).neurons == ((BLOCK, NEURON),)


def test_layer_scale_belongs_to_what_a_neuron_writes() -> None:
    backbone = planted_backbone(init_values=0.5)
    with torch.no_grad():
        backbone.timm_model.blocks[BLOCK].ls2.gamma[1] = 2
    length = written_lengths(backbone, BLOCK)[NEURON]
    assert float(length) == pytest.approx(5 / 2**0.5 * (2**2 + 0.5**2) ** 0.5)


def test_without_outliers_there_is_nothing_to_move(images: EvaluationImages) -> None:
    dark = images.only(np.arange(MARKED, NUM_IMAGES))
    found = find_register_neurons(planted_backbone(), dark, BENCH)
    assert found.neurons == () and found.first_block is None
    assert (found.num_outliers, found.threshold.found) == (0, False)


def test_the_model_against_itself_as_it_was(images: EvaluationImages) -> None:
    backbone = planted_backbone()
    found = find_register_neurons(backbone, images, BENCH)
    changed = with_test_time_registers(backbone, found.neurons)
    change = compare_with_original(backbone, changed, images, found.threshold, BENCH)
    assert change.outliers_before == pytest.approx(2 * MARKED / (16 * NUM_IMAGES))
    assert change.outliers_after == 0
    assert change.longest_before > 100 and change.longest_after < 3
    assert change.register_norm > 0.5 * change.longest_before
    assert change.clean_images == NUM_IMAGES - MARKED
    assert change.clean_feature_cosine is not None
    assert change.clean_feature_cosine > max(0.99, change.feature_cosine)


def test_the_search_leaves_no_hooks_behind(images: EvaluationImages) -> None:
    backbone = planted_backbone()
    find_register_neurons(backbone, images, BENCH)
    assert not any(module._forward_pre_hooks for module in backbone.modules())


def test_other_backbones_are_refused(images: EvaluationImages) -> None:
    with pytest.raises(PoiseError, match="searched in vision transformers"):
        find_register_neurons(nn.Identity(), images, BENCH)
