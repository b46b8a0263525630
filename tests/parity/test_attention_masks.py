"""Attention masks on a recorded DINO, against the definition written as a loop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from poise.evaluation.objects.attention_masks import mass_masks
from poise.models.last_block import LastBlock
from tests.parity.test_published import import_recorded, load


def reference_mask(attention: NDArray[np.float32], kept: float) -> NDArray[np.bool_]:
    """Leaves out the least attended patches while their sum is at most 1 − ``kept``."""
    mask = np.ones(len(attention), dtype=bool)
    left_out = 0.0
    for patch in sorted(range(len(attention)), key=lambda each: attention[each]):
        left_out += float(attention[patch]) / float(attention.sum(dtype=np.float64))
        if left_out > 1 - kept:
            break
        mask[patch] = False
    return mask


def test_the_attention_of_cls_is_the_recorded_one(golden_dir: Path, tmp_path: Path) -> None:
    case = load(golden_dir, "dino_vit")
    imported, _ = import_recorded(case, tmp_path / "dino.pth", "teacher")
    attention = LastBlock(imported.backbone, torch.from_numpy(case["image"])).attention()
    np.testing.assert_allclose(
        attention.numpy(), case["last_attention"][:, :, 0, 1:], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("kept", [0.1, 0.6, 0.9])
def test_masks_of_recorded_attention_keep_the_asked_share(golden_dir: Path, kept: float) -> None:
    attention = load(golden_dir, "dino_vit")["last_attention"][:, :, 0, 1:]
    masks = mass_masks(torch.from_numpy(attention), kept).numpy()
    for image, rows in enumerate(attention):
        for head, row in enumerate(rows):
            np.testing.assert_array_equal(masks[image, head], reference_mask(row, kept))
