"""Package of a backbone: a folder that can be registered, fetched and loaded.

In: a trained backbone and its config. Out: a folder with ``backbone.safetensors``, ``config.json``
and ``checksums.json``; and the backbone again. The folder contains no code and no pickle. Next:
``poise.tracking.registry.versions``.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from poise.config.errors import PoiseError, one_line
from poise.config.recipe import BackboneConfig
from poise.models.added_register import with_added_register
from poise.models.backbone import build_backbone
from poise.models.checksums import (
    CHECKSUMS_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    read_config,
    verify_package,
    write_checksums,
)

_NAMES_SHOWN = 3


def save_backbone(folder: str | Path, backbone: nn.Module, config: Mapping[str, Any]) -> None:
    """Writes a package. The folder appears only when it is complete.

    Its tensors have timm's own names, so timm can load the file without changes.

    Args:
        folder: folder that does not exist, or a package to replace.
        backbone: trained output of ``build_backbone``.
        config: at least ``backbone`` (a ``BackboneConfig`` as JSON) and ``image_px``; usually also
            ``normalization`` (``mean`` and ``std``) and ``lineage``. An added
            register is kept as ``added_register``, as ``describe_added_register`` makes it.

    Raises:
        PoiseError: the folder holds something else.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # Each tensor is cloned, because safetensors refuses tensors that share memory.
    tensors = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in _bare(backbone).state_dict().items()
    }
    write_tensors(partial / WEIGHTS_FILE, tensors)
    (partial / CONFIG_FILE).write_text(json.dumps(config, indent=2, allow_nan=False) + "\n")
    write_checksums(partial)
    if (folder / CHECKSUMS_FILE).is_file():
        shutil.rmtree(folder)
    try:
        partial.replace(folder)
    except OSError:
        shutil.rmtree(partial)
        raise PoiseError(f"{folder}: holds other files than a backbone package") from None


def write_tensors(
    path: Path, tensors: dict[str, Tensor], header: dict[str, str] | None = None
) -> None:
    """Writes a safetensors file with the permissions of the current umask."""
    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path, header)  # writes a private file first, so the mode is lost
    path.chmod(mode)


def load_backbone(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Loads a package: its backbone in evaluation mode on the CPU, and its config.

    Raises:
        PoiseError: a file is missing or damaged, was written by another version, or contains
            weights that are not finite.
    """
    folder = Path(folder)
    verify_package(folder)
    config = read_config(folder)
    try:
        backbone = build_backbone(
            BackboneConfig.model_validate(config["backbone"]), config["image_px"]
        )
        _load_tensors(_bare(backbone), load_file(folder / WEIGHTS_FILE), folder)
    except (KeyError, ValidationError, SafetensorError, RuntimeError) as error:
        raise _misfit(folder, one_line(error)) from None
    broken = first_not_finite(_bare(backbone).state_dict())
    if broken:
        raise PoiseError(
            f"{folder}: {broken} in {WEIGHTS_FILE} holds NaN or infinite values, so the backbone "
            "gives no features; use the package of another run, or of an earlier checkpoint"
        )
    return with_added_register(backbone, config, folder).eval(), config


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Returns the name of the first tensor with NaN or infinite values; None if all are finite."""
    return next(
        (
            name
            for name, tensor in tensors.items()
            if tensor.is_floating_point() and not bool(tensor.isfinite().all())
        ),
        None,
    )


def _load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Loads tensors. If some do not fit, raises an error with the first names."""
    own = model.state_dict()
    groups = {
        "it lacks": [name for name in own if name not in tensors],
        "no part of the model are": [name for name in tensors if name not in own],
        "of another shape are": [
            name for name, tensor in tensors.items()
            if name in own and own[name].shape != tensor.shape
        ],
    }  # fmt: skip
    reasons = [f"{what} {_some(names)}" for what, names in groups.items() if names]
    if reasons:
        raise _misfit(folder, "; ".join(reasons))
    model.load_state_dict(tensors)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _misfit(folder: Path, reason: str) -> PoiseError:
    return PoiseError(
        f"{folder}: its weights do not fit its {CONFIG_FILE} in this version of Poise: {reason}"
    )


def _bare(backbone: nn.Module) -> nn.Module:
    """Returns the timm model inside a backbone."""
    model = backbone.timm_model
    assert isinstance(model, nn.Module)
    return model
