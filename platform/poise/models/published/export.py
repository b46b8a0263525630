"""Exports a backbone in layouts that other programs read.

In: a backbone and its package's config. Out: a file or a folder with the same weights, under the
names of timm, Hugging Face, DINO or MAE. Next: other programs.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from poise.config.errors import PoiseError
from poise.config.local_files import unused_name
from poise.config.recipe import BackboneConfig
from poise.models.package import write_tensors
from poise.models.published.files import DESCRIPTION, HUGGING_FACE_WEIGHTS
from poise.models.published.fit import check_fit
from poise.models.test_time_registers import AddedRegister
from poise.models.timm_description import FIXED_SIZE, normalization_of, prepared_px
from poise.models.timm_models import NORM_EPS, family, timm_arguments

FORMATS: Final = ("timm", "huggingface", "dino", "mae")

_CROP_PCT = 224 / 256  # of the shorter side: the published evaluation


def export_backbone(
    backbone: nn.Module, config: Mapping[str, Any], destination: Path, layout: str
) -> Path:
    """Writes a backbone in a published layout. The file or folder appears only when it is complete.

    Args:
        backbone: output of ``build_backbone``.
        config: config of its package.
        destination: path that does not exist. ``timm`` writes a ``.safetensors`` file. ``dino`` and
            ``mae`` write a ``.safetensors`` file, or a ``.pth`` file with ``teacher`` or ``model``
            as published. ``huggingface`` writes a folder that ``timm.create_model("local-dir:…")``
            loads.
        layout: one of ``FORMATS``.

    Raises:
        PoiseError: the destination exists, its name does not fit the format, or the layout cannot
            describe this backbone completely.
    """
    if isinstance(backbone, AddedRegister):
        raise PoiseError(
            f"{destination}: no published layout can say which neurons an added register takes "
            "over; export the package that the register was added to"
        )
    if layout not in FORMATS:
        raise PoiseError(f"--format {layout}: choose from {', '.join(FORMATS)}")
    if destination.exists():
        raise PoiseError(f"{destination}: already exists; name another destination")
    tensors = bare_tensors(backbone)
    if layout in ("dino", "mae"):
        check_fit(backbone, tensors, config, layout)
    if layout == "huggingface":
        _check_plain(config)
        described = hugging_face_config(backbone, config)
        return _appear(
            destination, lambda path: _write_new_folder(path, tensors, described, config)
        )
    endings = (".safetensors",) if layout == "timm" else (".safetensors", ".pth")
    if destination.suffix not in endings:
        raise PoiseError(f"{destination}: --format {layout} writes {' or '.join(endings)} files")
    if layout == "dino":
        tensors = {f"backbone.{name}": tensor for name, tensor in tensors.items()}
    if destination.suffix == ".pth":
        entry = "teacher" if layout == "dino" else "model"
        return _appear(destination, lambda path: torch.save({entry: tensors}, path))
    return _appear(destination, lambda path: write_tensors(path, tensors, _header(config)))


def hugging_face_config(backbone: nn.Module, config: Mapping[str, Any]) -> dict[str, Any]:
    """Makes timm's ``config.json``: architecture, arguments, and preparation of images."""
    model: Any = backbone.timm_model
    described = BackboneConfig.model_validate(config["backbone"])
    fixed, px = family(described.name) in FIXED_SIZE, prepared_px(config)
    normalization = normalization_of(config)
    pool = model.global_pool
    return {
        "architecture": described.name,
        "num_classes": 0,
        "num_features": backbone.feature_dim,
        "global_pool": pool if isinstance(pool, str) else pool.pool_type,
        "model_args": timm_arguments(described, config["image_px"]),
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [3, px, px],
            "fixed_input_size": fixed,
            "interpolation": config.get("interpolation", "bicubic"),
            "crop_pct": _CROP_PCT,
            "crop_mode": "center",
            "mean": list(normalization["mean"]),
            "std": list(normalization["std"]),
            "num_classes": 0,
            "pool_size": None,
            "first_conv": model.pretrained_cfg["first_conv"],
            "classifier": model.pretrained_cfg["classifier"],
        },
    }


def _check_plain(config: Mapping[str, Any]) -> None:
    eps = config["backbone"].get("options", {}).get(NORM_EPS)
    if eps is not None:
        raise PoiseError(
            f"--format huggingface: timm reads no {NORM_EPS}={eps:g} from a folder, so its "
            "features would differ; export as timm, whose header Poise reads"
        )


def _write_new_folder(
    folder: Path, tensors: dict[str, Tensor], described: dict[str, Any], config: Mapping[str, Any]
) -> None:
    folder.mkdir()
    write_folder(folder, tensors, described, config)


def write_folder(
    folder: Path, tensors: dict[str, Tensor], described: dict[str, Any], config: Mapping[str, Any]
) -> None:
    """Writes weights and timm's config into an existing folder.

    Args:
        folder: existing folder.
        tensors: weights with timm's names.
        described: output of ``hugging_face_config``.
        config: config of the package, for the header of the weights.
    """
    write_tensors(folder / HUGGING_FACE_WEIGHTS, tensors, _header(config))
    (folder / "config.json").write_text(json.dumps(described, indent=2, allow_nan=False) + "\n")


def bare_tensors(backbone: nn.Module) -> dict[str, Tensor]:
    """Copies a backbone's weights, with timm's names."""
    model: Any = backbone.timm_model
    # Each tensor is cloned, because safetensors refuses tensors that share memory.
    return {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in model.state_dict().items()
    }


def _header(config: Mapping[str, Any]) -> dict[str, str]:
    """Makes the header of a file, with facts that the weights do not contain, such as the heads."""
    names = ("backbone", "image_px", "evaluation_px", "normalization", "lineage")
    known = {name: config[name] for name in names if name in config}
    return {"format": "pt", DESCRIPTION: json.dumps(known, allow_nan=False)}


def _appear(destination: Path, write: Callable[[Path], object]) -> Path:
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = unused_name(destination, destination.suffix)
    try:
        write(partial)
        partial.replace(destination)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)
    return destination
