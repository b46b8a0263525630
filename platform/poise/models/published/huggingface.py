"""Layout of Hugging Face's transformers: ViT, ViT-MAE, DINOv2 and DINOv3.

In: tensors with the names of transformers. Out: a ``Reading`` (architecture and weights). Next:
``poise.models.published.layouts``.

This module renames tensors to the names of the original publications. Then the readers of these
layouts are used. The library transformers stores queries, keys and values separately. Here they are
joined to one tensor, in this order.
"""

import re
from dataclasses import replace

import torch
from torch import Tensor

from poise.config.errors import PoiseError
from poise.models.published.dinov2 import read_dinov2
from poise.models.published.dinov3 import read_dinov3
from poise.models.published.mae import has_fixed_positions, read_mae
from poise.models.published.prefixes import Located
from poise.models.published.shapes import Basis, Wishes
from poise.models.published.translation import Reading, Tensors, renamed
from poise.models.published.vit import read_vit

_VIT_NORM_EPS = 1e-12  # the default of transformers' ViT and ViT-MAE, and of their published files

_NAMES = (
    (r"^embeddings\.(cls_token|register_tokens)$", r"\1"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"^(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"\.mlp\.weights_in\.", ".mlp.w12."),
    (r"\.mlp\.weights_out\.", ".mlp.w3."),
    (r"^layernorm\.", "norm."),
)
"""Patterns of the tensor names of ViT, ViT-MAE and DINOv2, each with timm's name."""

_DINOV3_NAMES = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.register_tokens$", "storage_tokens"),
    (r"^embeddings\.patch_embeddings\.", "patch_embed.proj."),
    (r"^(?:model\.|encoder\.)?layer\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.q_proj\.", ".attn.query."),
    (r"\.attention\.k_proj\.", ".attn.key."),
    (r"\.attention\.v_proj\.", ".attn.value."),
    (r"\.attention\.o_proj\.", ".attn.proj."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
)
_GATED_MLP = ((r"\.gate_proj\.", ".w1."), (r"\.up_proj\.", ".w2."), (r"\.down_proj\.", ".w3."))
_PLAIN_MLP = ((r"\.up_proj\.", ".fc1."), (r"\.down_proj\.", ".fc2."))


def is_hugging_face(located: Located) -> bool:
    """Returns True if the patch embedding has the name of this layout."""
    return any(name.startswith("embeddings.patch_embeddings.") for name in located.inside)


def read_hugging_face(tensors: Tensors, wishes: Wishes) -> Reading:
    """Reads a ViT, ViT-MAE, DINOv2 or DINOv3 in the layout of Hugging Face's transformers.

    Raises:
        PoiseError: queries, keys and values have different shapes, or the dimensions cannot be
            read.
    """
    if "embeddings.patch_embeddings.weight" in tensors:
        return _with_norm(_read_dinov3(tensors, wishes), wishes, 1e-5)
    tensors = _joined(renamed(tensors, *_NAMES))
    if any(name.endswith(".ls1.gamma") for name in tensors):
        return _with_norm(read_dinov2(tensors, wishes), wishes, 1e-6)
    fixed = has_fixed_positions(tensors.get("pos_embed"))
    eps = _VIT_NORM_EPS if wishes.norm_eps is None else wishes.norm_eps
    told = replace(wishes, norm_eps=eps)
    if fixed:
        return _with_norm(read_mae(tensors, told), wishes, eps)
    return _with_norm(read_vit(tensors, told, covers_prefix=True), wishes, eps)


def _with_norm(reading: Reading, wishes: Wishes, eps: float) -> Reading:
    """Notes the origin of the epsilon of the norms, if the user gave no epsilon.

    Each kind of model in the library transformers has its own epsilon.
    """
    if wishes.norm_eps is not None:
        return reading
    basis = Basis(f"transformers' default of this kind is {eps:g}", "--norm-eps")
    return replace(reading, bases={**reading.bases, "norm eps": basis})


def _read_dinov3(tensors: Tensors, wishes: Wishes) -> Reading:
    gated = any(".mlp.gate_proj." in name for name in tensors)
    mlp = _GATED_MLP if gated else _PLAIN_MLP
    tensors = renamed(tensors, *_DINOV3_NAMES, *mlp)
    keys = [name for name in tensors if name.endswith(".attn.key.bias")]
    if any(bool(tensors.pop(name).any()) for name in keys):
        raise PoiseError(f"{keys[0]}: keys have a bias, which no published DINOv3 has")
    biases = ((r"\.attn\.query\.bias$", ".attn.q_bias"), (r"\.attn\.value\.bias$", ".attn.v_bias"))
    return read_dinov3(_joined(renamed(tensors, *biases)), wishes)


def _joined(tensors: Tensors) -> Tensors:
    """Joins queries, keys and values of each block to one tensor, in this order."""
    result: Tensors = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"(.*\.attn\.)(query|key|value)\.(weight|bias)", name)
        if match:
            parts.setdefault(f"{match[1]}qkv.{match[3]}", {})[match[2]] = tensor
        else:
            result[name] = tensor
    for name, found in parts.items():
        missing = [part for part in ("query", "key", "value") if part not in found]
        if missing:
            raise PoiseError(f"{name}: {' and '.join(missing)} missing; the file is incomplete")
        if len({tensor.shape for tensor in found.values()}) > 1:
            raise PoiseError(f"{name}: queries, keys and values have different shapes")
        result[name] = torch.cat([found["query"], found["key"], found["value"]])
    return result
