"""Measures the attention of [cls] during training, block by block.

In: a backbone and a few images. Out: ``(name, value)`` pairs. Next:
``poise.evaluation.during_training``.

``cls-attention/poise-v1`` has two statistics of ``poise evaluate attention`` (arXiv 2412.03215),
with the same names. These two statistics differ most between methods. The probe uses 64 images of
the bank (the reference images of k-NN). These images are the same at every step and in every run on
a dataset.

``cls_pos_entropy_over_ln_n`` is the entropy of the attention of [cls] to the N patches, divided by
ln N. It is 0 if all attention goes to one patch, and 1 if every patch gets the same attention.

``cls_cls_attention`` is the share of attention that [cls] gives to itself, 0 to 1. It is 1/T if all
T tokens get the same attention.

Healthy: in a joint-embedding model (DINO) the late blocks become selective. Their entropy is
clearly below 1, and their heads differ. Broken: the entropy is near 1 in all heads of all blocks,
so attention has no effect. Or the entropy is 0 in every head, so all attention goes to one patch.
In masked models (MAE) an entropy near 1 together with high attention to itself is normal, because
their [cls] collects little from patches.

For each block the probe yields the mean over heads, the lowest head and the highest head. So a
single head that becomes selective or useless is visible. With one series for each head, ViT-B would
have four times as many series. The order of heads also has no meaning across runs.
``poise evaluate attention`` reports all heads.

Cost: a forward pass of 64 images without fused attention, and ``attention_statistics`` of its
attention. This is less than 1 % of the cost of k-NN's pass over 12,000 images. In CPU seconds, a
4-block ViT at 32 px takes 0.16 (k-NN: 19), and ViT-S/16 at 224 px takes 12 (k-NN: 1,500). The probe
computes in one thread, like the batches of k-NN. With two threads it took 0.85 and 17.
"""

from collections.abc import Iterator
from typing import Final

import torch
from torch import nn

from poise.evaluation.reading.images import EvaluationImages
from poise.evaluation.reading.inference import Bench, one_thread
from poise.evaluation.tokens.attention import measure_attention
from poise.models.backbone import has_class_token
from poise.models.block_traces import UntraceableError

PROTOCOL: Final = "cls-attention/poise-v1"

ATTENTION_IMAGES: Final = 64
"""Largest number of images of the bank that the probe reads."""

_STATISTICS = ("cls_pos_entropy_over_ln_n", "cls_cls_attention")


def attention_probe(
    backbone: nn.Module,
    images: EvaluationImages,
    bench: Bench,
) -> Iterator[tuple[str, float]]:
    """Yields each statistic as a mean over all blocks and heads, then for each block.

    The names for blocks begin with ``attention/`` and contain the block's number, from 01. Yields
    nothing if the backbone has no [cls] or its attention is not one softmax per head. The modules
    keep their train or eval mode.
    """
    if not has_class_token(backbone):
        return
    try:
        with one_thread():
            report = measure_attention(backbone, images, bench)
    except UntraceableError:
        return
    blocks = report.blocks
    for name in _STATISTICS:
        if name in blocks[0]:  # an image of one patch has no entropy
            heads = torch.tensor([block[name].head_means for block in blocks])  # [blocks, heads]
            yield name, heads.mean().item()
            for number, of_block in enumerate(heads, start=1):
                series = f"attention/{name}_{number:02d}"
                yield series, of_block.mean().item()
                yield f"{series}_lowest", of_block.amin().item()
                yield f"{series}_highest", of_block.amax().item()
