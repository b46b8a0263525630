"""Computes several features of a frozen backbone for probes, in one pass.

In: a backbone, names of features, images. Out: a dict from names to features. Next:
``poise.models.heads.grid``.

``cls``, ``mean``, ``cls_mean`` and ``last_N`` use the tokens after the last norm (a backbone's
``last_norm``), as published. ``last_N`` is the concatenation of the [cls] tokens of the last N
blocks, as in DINO's linear protocol. ``cp1`` … ``cp4``, ``attn_lcte`` and ``attn_mn`` pool the last
block's tokens without the last norm (arXiv 2412.03215; see ``poise.models.pooling``). ``abmilp``
pools the same tokens by a learned attention. A residual network has only ``pooled``. A transformer
with relative positions also has ``pooled``: the feature that timm pools.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.keys import nearest
from poise.models.backbone import VitBackbone, has_class_token, norms_after_pooling
from poise.models.block_traces import TRACING, trace
from poise.models.pooling import POOLINGS, check_pooling, pool
from poise.models.relative import RelativeBackbone

_NORMED = ("cls", "mean", "cls_mean")
_LAST = re.compile(r"last_([1-9]\d*)")
_CENTRAL = re.compile(r"cp([1-4])")
FEATURES = (*POOLINGS, "last_4", "abmilp", "pooled")
"""Names of features. In ``last_N``, N may be any number."""


class Readout(nn.Module):
    """Module that computes features of a frozen backbone, without gradients."""

    def __init__(self, backbone: nn.Module, names: Sequence[str], image_px: int):
        """Checks the names of features.

        Raises:
            PoiseError: a name is unknown, or the backbone does not have this feature.
        """
        super().__init__()
        self.backbone = backbone
        self.names = tuple(dict.fromkeys(names))
        for name in self.names:
            check_feature(backbone, name, image_px)
        self._num_blocks = max([1, *map(_blocks_of, self.names)])
        self._attends = any(name.startswith("attn_") for name in self.names)

    def dim(self, name: str) -> int:
        """Returns the width D of a feature, or of each token for ``abmilp``."""
        width: int = self.backbone.feature_dim  # type: ignore[assignment]
        return width * (2 if name == "cls_mean" else _blocks_of(name))

    @torch.no_grad()
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Computes features [B, D] of normalised images [B, 3, h, w].

        For ``abmilp`` the result contains all tokens, which the head pools.
        """
        whole = default_feature(self.backbone)
        if self.names == (whole,) and whole != "mean":  # the backbone computes it by itself
            return {whole: self.backbone(images)}
        assert isinstance(self.backbone, VitBackbone | RelativeBackbone)  # others have one feature
        outputs, attention = self._last_blocks(images)
        norm = self.backbone.last_norm
        normed: list[Tensor] = [norm(tokens) for tokens in outputs]
        grid = (
            images.shape[2] // self.backbone.patch_px,
            images.shape[3] // self.backbone.patch_px,
        )
        found = {}
        for name in self.names:
            if name == "abmilp":
                found[name] = outputs[-1]
            elif name == "pooled":
                found[name] = self.backbone.pooled(outputs[-1])
            elif _LAST.fullmatch(name):
                found[name] = torch.cat([x[:, 0] for x in normed[-_blocks_of(name) :]], dim=1)
            else:
                tokens = normed[-1] if name in _NORMED else outputs[-1]
                prefix = self.backbone.num_prefix_tokens
                found[name] = pool(tokens, attention, prefix, grid, name)
        return found

    def _last_blocks(self, images: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Computes tokens after each of the last blocks, without norm, and the last attention."""
        if not self._attends:
            backbone: Any = self.backbone
            return backbone.block_outputs(images, self._num_blocks), None
        outputs: list[Tensor] = []
        attention = None
        with TRACING:
            for block in trace(self.backbone, images, first=-self._num_blocks):
                outputs.append(block.outputs)
                attention = block.attention
        return outputs, attention


def default_feature(backbone: nn.Module) -> str:
    """Returns the name of the feature that k-NN uses. It is also the output of the backbone.

    The name is ``cls``, or ``mean`` if there is no [cls] token. For residual networks and
    transformers with relative positions, it is ``pooled``.
    """
    if not isinstance(backbone, VitBackbone) or norms_after_pooling(backbone):
        return "pooled"
    return "cls" if has_class_token(backbone) else "mean"


def check_feature(backbone: nn.Module, name: str, image_px: int) -> None:
    """Raises an error if a backbone does not have a feature.

    Raises:
        PoiseError: the backbone does not have the feature; the message names its features.
    """
    last, central = _LAST.fullmatch(name), _CENTRAL.fullmatch(name)
    if name not in FEATURES and not last:
        known = nearest(name, FEATURES) or f"; there are {', '.join(FEATURES)}"
        raise PoiseError(f"features: there is no '{name}'{known}")
    if not isinstance(backbone, VitBackbone | RelativeBackbone):
        if name != "pooled":
            raise PoiseError(f"features={name}: a residual network has no tokens; it has 'pooled'")
        return
    if name == "pooled":
        if isinstance(backbone, RelativeBackbone) or norms_after_pooling(backbone):
            return
        raise PoiseError("features=pooled: only residual networks have it; take 'mean'")
    depth, side = len(backbone.timm_model.blocks), image_px // backbone.patch_px
    if last and int(last[1]) > depth:
        raise PoiseError(f"features={name}: the backbone has {depth} blocks")
    if central and int(central[1]) > side:
        raise PoiseError(f"features={name}: images of {image_px} px have {side} × {side} patches")
    if name != "abmilp":
        check_pooling(backbone, "cls" if last else name)


def _blocks_of(name: str) -> int:
    """Returns the number of last blocks that a feature needs."""
    last = _LAST.fullmatch(name)
    return int(last[1]) if last else 1
