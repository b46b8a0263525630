"""Package of a backbone: a folder that can be registered, fetched and loaded.

In: a trained backbone and its config. Out: a folder with ``backbone.safetensors``, ``config.json``
and ``checksums.json``. In the other direction: the backbone from such a folder. The folder contains
no code and no pickle. Next: ``poise.tracking.registry.registration``.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from poise.config.errors import PoiseError, one_line
from poise.config.local_files import unused_name
from poise.config.locations import AnyLocation
from poise.config.paths import UNTRAINED
from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.checksums import (
    CHECKSUMS_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    read_config,
    verify_package,
    write_checksums,
)
from poise.models.fetched import fetched
from poise.models.test_time_registers import with_added_register

Loader = Callable[[str | Path], tuple[nn.Module, dict[str, Any]]]
"""Function that loads a package and returns its backbone and its config."""

_NAMES_SHOWN = 3
_UNTRAINED_SEED = 0
_OF_TRAINED_WEIGHTS = ("lineage", "added_register")
_SIZES = ("image_px", "evaluation_px")


def save_backbone(folder: str | Path, backbone: nn.Module, config: Mapping[str, Any]) -> None:
    """Writes a package. The folder appears only when it is complete.

    The tensors have timm's names, so timm can load the file directly.

    Args:
        folder: folder that does not exist, or a package to replace.
        backbone: trained output of ``build_backbone``.
        config: at least ``backbone`` (a ``BackboneConfig`` as JSON) and ``image_px``; usually also
            ``normalization`` (``mean`` and ``std``) and ``lineage``. An added register is described
            by the entry ``added_register`` (``describe_added_register``).

    Raises:
        PoiseError: the folder exists and is not a package.
    """
    folder = Path(folder)
    partial = unused_name(folder)
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
    """Writes a safetensors file, with the file permissions of the current umask."""
    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path, header)  # replaces the file, so its mode is lost
    path.chmod(mode)


def load_backbone(folder: AnyLocation) -> tuple[nn.Module, dict[str, Any]]:
    """Loads a package: its backbone in evaluation mode on the CPU, and its config.

    Raises:
        PoiseError: a file is missing or damaged, was written by another version, or contains
            weights that are not finite.
    """
    folder = fetched(folder)
    verify_package(folder)
    config = read_config(folder)
    _check_values(config, folder)
    try:
        backbone = build_backbone(
            BackboneConfig.model_validate(config["backbone"]), config["image_px"]
        )
        _load_tensors(_bare(backbone), load_file(folder / WEIGHTS_FILE), folder)
    except (KeyError, ValidationError, SafetensorError, RuntimeError) as error:
        raise _misfit(folder, one_line(error)) from None
    _check_sizes(config, getattr(backbone, "patch_px", 1), folder)
    broken = first_not_finite(_bare(backbone).state_dict())
    if broken:
        raise PoiseError(
            f"{folder}: {broken} in {WEIGHTS_FILE} holds NaN or infinite values, so the backbone "
            "gives no features; use the package of another run, or of an earlier checkpoint"
        )
    return with_added_register(backbone, config, folder).eval(), config


def _check_values(config: Mapping[str, Any], folder: Path) -> None:
    """Raises an error if a config has values that a later step could not use."""
    for name in _SIZES:
        px = config.get(name)
        if px is not None and not (type(px) is int and px > 0):
            raise PoiseError(
                f"{folder}: its {CONFIG_FILE} has {name}={px!r}, which must be a number of pixels; "
                "get the package again"
            )
    if not isinstance(config.get("lineage", {}), Mapping):
        raise PoiseError(
            f"{folder}: its {CONFIG_FILE} has lineage={config['lineage']!r}, which must be an "
            "object; get the package again"
        )


def _check_sizes(config: Mapping[str, Any], patch_px: int, folder: Path) -> None:
    """Raises an error if images of the config's sizes cannot be cut into whole patches."""
    for name in _SIZES:
        px = config.get(name)
        if px is not None and px % patch_px:
            raise PoiseError(
                f"{folder}: its {CONFIG_FILE} has {name}={px}, which is not a multiple of its "
                f"patches' {patch_px} px; get the package again"
            )


def loader_of(reference: str | Path) -> tuple[str, Loader]:
    """Chooses the function that loads a model: with trained weights, or with random weights.

    Returns:
        The reference without its prefix ``untrained:``, and the function that loads its package.
    """
    trained = str(reference).removeprefix(UNTRAINED)
    return trained, load_backbone if trained == str(reference) else load_untrained


def load_untrained(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Builds the architecture of a package with random weights.

    The weights are the same in every call.

    Returns:
        The backbone in evaluation mode on the CPU, and the package's config. Lineage and added
        register are removed from the config, because both belong to the trained weights.

    Raises:
        PoiseError: as ``load_backbone``.
    """
    _, config = load_backbone(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_UNTRAINED_SEED)
        built = build_backbone(
            BackboneConfig.model_validate(config["backbone"]), config["image_px"]
        )
    kept = {name: value for name, value in config.items() if name not in _OF_TRAINED_WEIGHTS}
    return built.eval(), kept


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
    """Loads tensors into a model. If some do not fit, raises an error with their first names."""
    own = model.state_dict()
    groups = {
        "it lacks": [name for name in own if name not in tensors],
        "no part of the model are": [name for name in tensors if name not in own],
        "of another shape are": [
            name for name, tensor in tensors.items()
            if name in own and own[name].shape != tensor.shape
        ],
        "no floating-point numbers (quantised?) are": [
            name for name, tensor in tensors.items()
            if name in own and own[name].is_floating_point() and not tensor.is_floating_point()
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
