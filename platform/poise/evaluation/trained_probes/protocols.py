"""Protocols of probes and fine-tuning. Every accuracy is stored with the id of its protocol.

In: a protocol's id, a model's package, a dataset. Out: a complete recipe. Next:
``poise.evaluation.trained_probes.probe``, or the training loop.

``cached`` protocols read every image once, resized and cropped as for testing, and train heads on
the features. The other protocols cut a new view of each image in every epoch, as published. A view
is a random crop of 8 to 100 % of the area, resized with antialiased bicubic interpolation, and
randomly flipped. ``docs/decisions/0006-probes.md`` lists the differences from the publications.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from poise.config import Recipe, override
from poise.config.errors import PoiseError
from poise.config.keys import nearest
from poise.config.loading import build
from poise.config.locations import AnyLocation, Location
from poise.models.backbone import has_class_token, norms_after_pooling
from poise.models.readout import default_feature

_GRID = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_SGD = {"name": "sgd", "momentum": 0.9, "weight_decay": 0, "final_lr": 0, "warmup_epochs": 0}
_LARS = {
    "name": "lars",
    "momentum": 0.9,
    "weight_decay": 0,
    "base_lr": 0.1,
    "final_lr": 0,
    "warmup_epochs": 10,
    "warmup_meets_peak": False,
}

_ABMILP: Mapping[str, Any] = {
    "name": "probe",
    "features": ["abmilp"],
    "batch_norm": True,
    "weight_std": 0,
    "lr_multipliers": _GRID,
}


@dataclass(frozen=True)
class Protocol:
    """Settings of a probe or of fine-tuning."""

    id: str
    cached: bool
    objective: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    epochs: int
    batch_size: int = 1024


@dataclass(frozen=True)
class ProtocolUse:
    """Protocol by which an accuracy was measured, and the settings that differ from it."""

    id: str
    changed: tuple[str, ...] = ()
    """Settings that differ from the protocol, as the user typed them."""


_ALL = (
    Protocol(
        "linear/cached-v1",
        True,
        {"name": "probe", "batch_norm": True, "lr_multipliers": _GRID},
        {**_SGD, "base_lr": 0.01},
        epochs=50,
        batch_size=256,
    ),
    Protocol(
        "linear/dino-v1",
        False,
        {"name": "probe", "lr_multipliers": _GRID},
        {**_SGD, "base_lr": 0.001},
        epochs=100,
    ),
    Protocol(
        "linear/mae-v1",
        False,
        {"name": "probe", "batch_norm": True, "lr_multipliers": _GRID},
        _LARS,
        epochs=90,
    ),
    Protocol("attentive/cached-v1", True, _ABMILP, _LARS, epochs=90, batch_size=256),
    Protocol("attentive/abmilp-v1", False, _ABMILP, _LARS, epochs=90),
    Protocol(
        "finetune/mae-v1",
        False,
        {"name": "finetune"},
        {
            "name": "adamw",
            "base_lr": 5e-4,
            "final_lr": 1e-6,
            "warmup_epochs": 5,
            "warmup_meets_peak": False,
            "weight_decay": 0.05,
        },
        epochs=100,
    ),
)
PROTOCOLS: Mapping[str, Protocol] = {protocol.id: protocol for protocol in _ALL}


def find_protocol(kind: str, name: str) -> Protocol:
    """Finds a protocol by its kind (such as ``linear``) and its name (such as ``cached-v1``).

    Raises:
        PoiseError: there is no such protocol.
    """
    names = [each.partition("/")[2] for each in PROTOCOLS if each.startswith(f"{kind}/")]
    if name not in names:
        known = nearest(name, names) or f"; there are {', '.join(names)}"
        raise PoiseError(f"--protocol {name}: no {kind} protocol is called that{known}")
    return PROTOCOLS[f"{kind}/{name}"]


def published_feature(protocol: Protocol, backbone: nn.Module) -> str:
    """Returns the name of the feature that a linear protocol uses by default.

    The protocol of DINO depends on the width of the ViT (arXiv 2104.14294). Up to a width of 384 it
    uses the [cls] tokens of the last four blocks. For a wider ViT it uses [cls] and the mean patch
    token, concatenated. Other protocols use the same feature as k-NN.
    """
    blocks = getattr(backbone.timm_model, "blocks", ())
    default = default_feature(backbone)
    if protocol.id != "linear/dino-v1" or not blocks or not has_class_token(backbone):
        return default
    if norms_after_pooling(backbone):
        return default
    width: int = backbone.feature_dim  # type: ignore[assignment]
    return f"last_{min(4, len(blocks))}" if width <= 384 else "cls_mean"


def probe_recipe(
    protocol: Protocol,
    model: str | Path,
    package: Mapping[str, Any],
    dataset: AnyLocation,
    features: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> Recipe:
    """Makes the complete recipe of a protocol.

    Args:
        protocol: protocol of the probe.
        model: folder of the backbone's package.
        package: config of the package.
        dataset: folder of the labelled training images.
        features: features to classify, which replace those of the protocol.
        settings: settings by dotted key, which replace those of the protocol.

    Raises:
        PoiseError: a setting is wrong.
    """
    chosen = {"features": list(features)} if features else {}
    tree = {
        "name": protocol.id.replace("/", "-"),
        "data": {
            "dataset": str(Location.of(dataset).absolute()),
            "views": _views(package.get("evaluation_px") or package["image_px"]),
            "cut_processes": 4 if torch.cuda.is_available() else 0,
        },
        "backbone": package["backbone"],
        "objective": {
            **protocol.objective, **chosen, "model": str(Path(model).absolute()),
        },
        "optimizer": {**protocol.optimizer, "final_weight_decay": None, "clip_grad": 0},
        "training": {
            "epochs": protocol.epochs,
            "batch_size": protocol.batch_size,
            "precision": "fp32",
        },
    }  # fmt: skip
    recipe = build(Recipe, tree, protocol.id, ())
    return override(recipe, settings or {}, "command line")


def _views(image_px: int) -> dict[str, Any]:
    """Returns settings for one crop without colour changes, as in supervised training."""
    return {
        "global_count": 1,
        "global_px": image_px,
        "global_scale": (0.08, 1.0),
        "local_count": 0,
        "jitter_probability": 0,
        "grayscale_probability": 0,
        "first_global_blur_probability": 0,
        "other_global_blur_probability": 0,
        "local_blur_probability": 0,
        "first_global_solarize_probability": 0,
        "other_global_solarize_probability": 0,
    }
