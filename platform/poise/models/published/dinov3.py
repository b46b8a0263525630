"""Layout of DINOv3 (arXiv 2508.10104), for timm's Eva.

In: tensors with DINOv3's names. Out: a ``Reading`` (architecture and weights). Next:
``poise.models.published.layouts``.
"""

from typing import Any

from poise.config.errors import PoiseError
from poise.config.recipe import BackboneConfig
from poise.models.published.preparation import imagenet
from poise.models.published.shapes import Basis, Size, Wishes, measure, mlp_ratio
from poise.models.published.translation import Reading, Tensors, renamed
from poise.models.published.vit import norm_basis

_SIZES = {
    384: Size("small", 12, 6),
    768: Size("base", 12, 12),
    1024: Size("large", 24, 16),
    1280: Size("huge_plus", 32, 20),
    4096: Size("7b", 40, 32),
}
_PATCHES = 16  # per side: rotary positions fit any grid; timm's models are made for 256 px
_NORM_EPS = 1e-5  # timm's of these models
_PREPARATION = imagenet(
    Basis("those of the models trained on web images; satellite models differ", "--mean and --std")
)


def read_dinov3(tensors: Tensors, wishes: Wishes) -> Reading:
    """Renames the tensors of DINOv3 to Poise's names.

    The renamed tensors are storage tokens (registers), LayerScale and SwiGLU. The bias of the keys
    is removed, because a mask in the file switches this bias off.

    Raises:
        PoiseError: a grid is given, although rotary positions need none; or the keys have an active
            bias.
    """
    if wishes.grid is not None and wishes.said_by is None:
        raise PoiseError("--grid: rotary positions fit every grid; leave it out")
    size = measure(tensors, wishes, _SIZES)
    tensors = renamed(
        tensors,
        (r"^storage_tokens$", "reg_token"),
        (r"\.ls([12])\.gamma$", r".gamma_\1"),
        (r"\.mlp\.w1\.", ".mlp.fc1_g."),
        (r"\.mlp\.w2\.", ".mlp.fc1_x."),
        (r"\.mlp\.w3\.", ".mlp.fc2."),
    )
    num_named = len(tensors)
    tensors = {name: t for name, t in tensors.items() if not name.startswith("rope_embed.")}
    periods = num_named - len(tensors)
    gated = "blocks.0.mlp.fc1_g.weight" in tensors
    config = BackboneConfig(
        name=_name(size.embed_dim, gated),
        num_registers=tensors["reg_token"].shape[1] if "reg_token" in tensors else 0,
        drop_path=0,
        options={**size.options, **_parts(tensors, wishes, gated)},
    )
    image_px = _PATCHES * size.patch_px
    return Reading(
        config,
        image_px,
        _split_biases(tensors),
        image_px,
        preparation=_PREPARATION,
        bases={"heads": size.heads_basis, **norm_basis(wishes)},
        dropped={"rotary periods": periods} if periods else {},
    )


def _parts(tensors: Tensors, wishes: Wishes, gated: bool) -> dict[str, Any]:
    options: dict[str, Any] = {
        "qkv_bias": any(f"blocks.0.attn.{name}" in tensors for name in ("qkv.bias", "q_bias")),
        "global_pool": "token",  # as published; timm's default is the mean patch
    }
    if gated:
        options |= {"mlp_ratio": mlp_ratio(tensors, "fc1_g"), "swiglu_align_to": 1}
    elif (ratio := mlp_ratio(tensors)) != 4:
        options["mlp_ratio"] = ratio
    if wishes.norm_eps not in (None, _NORM_EPS):
        options["norm_eps"] = wishes.norm_eps
    return options


def _name(embed_dim: int, gated: bool) -> str:
    size = _SIZES[embed_dim].name if embed_dim in _SIZES else "small"
    if gated and size == "small":
        size = "small_plus"
    return f"vit_{size}_patch16_dinov3"


def _split_biases(tensors: Tensors) -> Tensors:
    """Extracts the biases of queries and values.

    The bias of keys is switched off by a mask in the file.
    """
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
