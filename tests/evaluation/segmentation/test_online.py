"""The dense probe during training, on images whose masks are drawn."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from poise.data.dataset import ImageDataset
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.evaluation.reading.inference import Bench
from poise.evaluation.segmentation.online import MaskedImages, dense_probe
from tests.evaluation.conftest import MakeDataset

BENCH = Bench(([0.5] * 3, [0.25] * 3), torch.device("cpu"))


class Pixels(nn.Module):
    """A backbone whose tokens are the pixels of each patch, or noise."""

    patch_px, num_prefix_tokens = 4, 1

    def __init__(self, sees: bool) -> None:
        super().__init__()
        self.sees = sees

    def tokens(self, images: Tensor) -> Tensor:
        patches = nn.functional.unfold(images, 4, stride=4).transpose(1, 2)
        statistics = torch.cat([patches, patches.square(), patches.std(2, keepdim=True)], dim=2)
        if not self.sees:
            statistics = torch.randn_like(statistics)
        return torch.cat([statistics[:, :1], statistics], dim=1)


def masked(folder: Path, seed: int) -> MaskedImages:
    prepare("scenes", folder, PrepareOptions(num_images=60, seed=seed))
    found = MaskedImages.of(ImageDataset.open(folder), 32)
    assert found is not None
    return found


@pytest.mark.slow
def test_patches_that_see_are_told_apart_better_than_noise(tmp_path: Path) -> None:
    bank, queries = masked(tmp_path / "bank", 0), masked(tmp_path / "queries", 1)
    shares = queries.shares(4)
    assert shares.shape == (60, 64, 2) and torch.allclose(shares.sum(dim=2), torch.ones(60, 64))
    torch.manual_seed(0)
    (name, sees), = dense_probe(Pixels(True), bank, queries, BENCH)  # fmt: skip
    (_, blind), = dense_probe(Pixels(False), bank, queries, BENCH)  # fmt: skip
    assert name == "dense_miou"
    assert 0 < blind < sees <= 100
    assert list(dense_probe(Pixels(True), bank, queries, BENCH)) == [(name, sees)]


@pytest.mark.slow
def test_nothing_is_measured_if_all_pixels_are_ignored(tmp_path: Path) -> None:
    class Ignored(MaskedImages):
        def shares(self, patch_px: int) -> Tensor:
            return torch.zeros_like(super().shares(patch_px))

    some = masked(tmp_path / "some", 0)
    ignored = Ignored(some.dataset, some.images)
    for bank, queries in ((some, ignored), (ignored, some)):
        assert list(dense_probe(Pixels(True), bank, queries, BENCH)) == []


def test_nothing_is_measured_without_masks_or_patches(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    plain = ImageDataset.open(make_dataset("plain", [0, 1]))
    assert MaskedImages.of(plain, 32) is None
    some = masked(tmp_path / "scenes", 0)

    class ResNet(nn.Module):
        patch_px = 1

    assert list(dense_probe(ResNet(), some, some, BENCH)) == []
