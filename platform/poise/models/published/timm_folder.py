"""Writes a folder that timm can load without Poise. The features are those of Poise.

In: a backbone and the config of its package. Out: ``model.safetensors`` and ``config.json``. The
features of the written model are compared with the backbone's. Next: ``poise.cli.models.pull``.

timm may resize position embeddings in another way than Poise. If the backbone is evaluated at
another size than it was trained at, its positions are resized here, with Poise's method. The folder
is then valid only for this size.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.models.backbone import VitBackbone
from poise.models.positions import resample_as_dino
from poise.models.published.export import bare_tensors, hugging_face_config, write_folder
from poise.models.published.fit import difference_of
from poise.models.readout import default_feature
from poise.models.relative import BeitBackbone
from poise.models.test_time_registers import AddedRegister
from poise.models.timm_models import NORM_EPS

TOLERANCE = 1e-5
"""Largest allowed difference (``difference_of``) between timm's features and Poise's."""

_SHORTER_SIDE = 256 / 224  # shorter side / crop, in the published evaluation


def write_timm_folder(folder: Path, backbone: nn.Module, config: Mapping[str, Any]) -> float:
    """Writes a folder for ``timm.create_model("local-dir:FOLDER", pretrained=True)``.

    Args:
        folder: existing folder.
        backbone: output of ``load_backbone``, on the CPU.
        config: config of its package.

    Returns:
        Difference (``difference_of``) between timm's and the backbone's features of random images.

    Raises:
        PoiseError: timm cannot build the backbone, or its features differ.
    """
    _check_plain(backbone, config)
    described, tensors = hugging_face_config(backbone, config), bare_tensors(backbone)
    prepared = described["pretrained_cfg"]
    px = prepared["input_size"][-1]
    prepared["crop_pct"] = exact_crop_pct(px)
    if default_feature(backbone) == "cls":  # whatever timm would pool
        described["global_pool"] = described["model_args"]["global_pool"] = "token"
    if isinstance(backbone, VitBackbone) and backbone.position_resampling == "dino":
        tensors |= _fitted_positions(backbone, px)
        described["model_args"]["img_size"] = px
        config = {**config, "image_px": px}
    write_folder(folder, tensors, described, config)
    return _check(folder, backbone, px)


def is_any_size(backbone: nn.Module) -> bool:
    """Returns True if timm and Poise compute the same features for images of every size."""
    if isinstance(backbone, VitBackbone):
        vit: Any = backbone.timm_model
        return backbone.position_resampling == "timm" or vit.pos_embed is None
    return not isinstance(backbone, BeitBackbone)


def exact_crop_pct(px: int) -> float:
    """Returns the ``crop_pct`` for which timm resizes images as Poise does, before cropping.

    timm resizes the shorter side to ⌊px / crop_pct⌋. Poise rounds px · 256/224 to the nearest
    integer.
    """
    shorter = round(px * _SHORTER_SIDE)
    share = px / shorter
    return share if math.floor(px / share) == shorter else math.nextafter(share, 0)


def _check_plain(backbone: nn.Module, config: Mapping[str, Any]) -> None:
    if isinstance(backbone, AddedRegister):
        raise PoiseError(
            "timm has no added registers; take the package that the register was added to"
        )
    eps = config["backbone"].get("options", {}).get(NORM_EPS)
    if eps is not None:
        raise PoiseError(
            f"timm reads no {NORM_EPS}={eps:g} from a folder, so its features would differ; "
            "use `poise models export --format timm`, whose header Poise reads"
        )


def _fitted_positions(backbone: VitBackbone, px: int) -> dict[str, Tensor]:
    """Resizes positions for images of px × px; returns none if the backbone has no positions."""
    vit: Any = backbone.timm_model
    if vit.pos_embed is None:
        return {}
    grid = (px // backbone.patch_px, px // backbone.patch_px)
    covered = 0 if vit.no_embed_class else backbone.num_prefix_tokens
    positions = vit.pos_embed.detach().cpu()
    fitted = resample_as_dino(positions[:, covered:], grid, vit.patch_embed.grid_size)
    return {"pos_embed": torch.cat([positions[:, :covered], fitted], dim=1).contiguous()}


def _check(folder: Path, backbone: nn.Module, px: int) -> float:
    """Returns the difference between timm's and the backbone's features of random images."""
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = backbone(images), model(images)
    difference = difference_of(ours, theirs)
    if not difference <= TOLERANCE:
        raise PoiseError(
            f"timm's features differ from Poise's by {difference:.2g}; nothing was written. "
            "`poise models export --format timm` writes the weights without this check"
        )
    return difference
