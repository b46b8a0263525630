"""The probe of [cls]'s attention during training, block by block.

In: a backbone and a few images. Out: ``(name, value)`` pairs. Next:
``poise.evaluation.during_training``.

``cls-attention/poise-v1`` has two of the statistics of ``poise evaluate attention``
(arXiv 2412.03215), under the same names: those in which methods differ. It uses 64 images of the
bank, the same at every step and in every run on a dataset.

``cls_pos_entropy_over_ln_n``: the entropy of [cls]'s attention over the N patches alone, as a share
of ln N. 0: all on one patch. 1: the same on each.

``cls_cls_attention``: the share of its attention that [cls] gives to itself, from 0 to 1; 1/T where
all T tokens get the same.

Healthy: late blocks of a joint-embedding model (DINO) become selective, an entropy clearly below 1,
and their heads differ. Broken: entropy near 1 in all heads of all blocks, attention does nothing; 0
in every head, it is stuck on one patch. An entropy near 1 together with a high attention to itself
is no fault but the pattern of masked models (MAE), whose [cls] gathers little from patches.

Each block has the mean over heads, the lowest head and the highest head, so one head that selects
or dies is visible. A series for each head would make four times as many for ViT-B, and the order
of heads means nothing between runs; ``poise evaluate attention`` gives all heads.

Cost: a forward pass of 64 images without fused attention, and all that ``attention_statistics``
takes from it. Under 1 % of k-NN's pass over 12,000 images: 0.16 CPU seconds with a 4-block ViT at
32 px, 12 with ViT-S/16 at 224 px (that pass: 19 and 1,500). It computes in one thread, as k-NN's
batches do: with two that spin it took 0.85 and 17.
"""

from collections.abc import Iterator
from typing import Final

import torch
from torch import nn

from poise.evaluation.reading.bench import Normalization, one_thread
from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.tokens.attention import measure_attention
from poise.models.backbone import has_class_token
from poise.models.block_traces import UntraceableError

PROTOCOL: Final = "cls-attention/poise-v1"

ATTENTION_IMAGES: Final = 64
"""Most images of the bank that the probe reads."""

_STATISTICS = ("cls_pos_entropy_over_ln_n", "cls_cls_attention")


def attention_probe(
    backbone: nn.Module,
    images: EvaluationImages,
    normalization: Normalization,
    device: torch.device,
) -> Iterator[tuple[str, float]]:
    """Yields each statistic over all blocks and heads, and ``attention/…`` of each block, from 01.

    Yields nothing for a backbone without [cls], or with attention that is not one softmax per head.
    The modules keep their modes.
    """
    if not has_class_token(backbone):
        return
    try:
        with one_thread():
            blocks = measure_attention(backbone, images, normalization, device).blocks
    except UntraceableError:
        return
    for name in _STATISTICS:
        if name in blocks[0]:  # one patch alone has no entropy
            heads = torch.tensor([block[name].head_means for block in blocks])  # [blocks, heads]
            yield name, heads.mean().item()
            for number, of_block in enumerate(heads, start=1):
                series = f"attention/{name}_{number:02d}"
                yield series, of_block.mean().item()
                yield f"{series}_lowest", of_block.amin().item()
                yield f"{series}_highest", of_block.amax().item()
