"""DINOv3's layout (arXiv 2508.10104), for timm's Eva.

In: tensors under its names. Out: a ``Reading``. Next: ``poise.models.published.layouts``.
"""

from typing import Any

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.published.shapes import Size, Wishes, measure, mlp_ratio
from poise.models.published.translation import Reading, Tensors, renamed

_SIZES = {
    384: Size("small", 12, 6),
    768: Size("base", 12, 12),
    1024: Size("large", 24, 16),
    1280: Size("huge_plus", 32, 20),
    4096: Size("7b", 40, 32),
}
_PATCHES = 16  # along a side: rotary positions have no size of their own; timm's is 256 px


def read_dinov3(tensors: Tensors, wishes: Wishes) -> Reading:
    """Renames storage tokens, LayerScale and SwiGLU, and takes the keys' masked bias away."""
    size = measure(tensors, wishes, _SIZES)
    tensors = renamed(
        tensors,
        (r"^storage_tokens$", "reg_token"),
        (r"\.ls([12])\.gamma$", r".gamma_\1"),
        (r"\.mlp\.w1\.", ".mlp.fc1_g."),
        (r"\.mlp\.w2\.", ".mlp.fc1_x."),
        (r"\.mlp\.w3\.", ".mlp.fc2."),
    )
    registers = tensors["reg_token"].shape[1] if "reg_token" in tensors else 0
    options: dict[str, Any] = {
        **size.options,
        "qkv_bias": any(f"blocks.0.attn.{name}" in tensors for name in ("qkv.bias", "q_bias")),
        "global_pool": "token",  # as published; timm's default is the mean patch
    }
    gated = "blocks.0.mlp.fc1_g.weight" in tensors
    if gated:
        options |= {"mlp_ratio": mlp_ratio(tensors, "fc1_g"), "swiglu_align_to": 1}
    elif (ratio := mlp_ratio(tensors)) != 4:
        options["mlp_ratio"] = ratio
    config = BackboneConfig(
        name=_name(size.embed_dim, gated), num_registers=registers, drop_path=0, options=options
    )
    image_px = _PATCHES * size.patch_px
    return Reading(config, image_px, _split_biases(tensors), image_px)


def _name(embed_dim: int, gated: bool) -> str:
    size = _SIZES[embed_dim].name if embed_dim in _SIZES else "small"
    if gated and size == "small":
        size = "small_plus"
    return f"vit_{size}_patch16_dinov3"


def _split_biases(tensors: Tensors) -> Tensors:
    """Queries' and values' biases by themselves: keys have none, which the file masks."""
    result: Tensors = {}
    for name, tensor in tensors.items():
        if name.endswith(".bias_mask"):
            continue
        if not name.endswith(".attn.qkv.bias"):
            result[name] = tensor
            continue
        queries, keys, values = tensor.chunk(3)
        if f"{name}_mask" not in tensors and keys.any():
            raise PoiseError(f"{name}: keys have a bias, which no published DINOv3 has")
        stem = name.removesuffix("qkv.bias")
        result |= {f"{stem}q_bias": queries, f"{stem}v_bias": values}
    return result
