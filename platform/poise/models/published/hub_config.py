"""Reads the files that describe a Hugging Face checkpoint.

In: ``config.json`` and ``preprocessor_config.json`` of a folder. Out: number of heads, sizes,
epsilon of norms, and preparation of images. Next: ``poise.models.published.sources``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poise.config.errors import PoiseError
from poise.models.published.preparation import Preparation, from_preprocessor
from poise.models.published.shapes import Wishes
from poise.models.published.translation import Reading

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"

_KINDS = ("vit", "vit_mae", "dinov2", "dinov2_with_registers", "dinov3_vit")
_ACTIVATIONS = {
    "gelu": None,  # timm's own
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
_ROPE_THETA = 100.0


@dataclass(frozen=True)
class HubConfig:
    """Description of a model of the library transformers, from its ``config.json``."""

    path: Path
    kind: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, path: Path, values: Mapping[str, Any]) -> "HubConfig":
        """Makes the description of a model, if Poise can read its kind.

        Raises:
            PoiseError: Poise cannot read this kind.
        """
        kind = str(values.get("model_type"))
        if kind not in _KINDS:
            raise PoiseError(f"{path}: model_type={kind}: Poise reads {', '.join(_KINDS)}")
        theta = values.get("rope_theta", _ROPE_THETA)
        if kind == "dinov3_vit" and theta != _ROPE_THETA:
            raise PoiseError(
                f"{path}: rope_theta={theta}: no published DINOv3 has other than {_ROPE_THETA:g}"
            )
        return cls(path, kind, values)

    def wishes(self, asked: Wishes) -> Wishes:
        """Returns the facts of the config that are not in the weights.

        Args:
            asked: options of the command line, which must not contradict the config.

        Raises:
            PoiseError: a value is missing, is not a number, or contradicts an option.
        """
        said = Wishes(
            num_heads=self._int("num_attention_heads"),
            depth=self._int("num_hidden_layers"),
            prefix=asked.prefix,
            grid=None if self.kind == "dinov3_vit" else self._grid(),
            norm_eps=self._float("layer_norm_eps", _DEFAULT_EPS[self.kind]),
            said_by=CONFIG,
        )
        for option, name in (
            ("--heads", "num_heads"), ("--depth", "depth"), ("--grid", "grid"),
            ("--norm-eps", "norm_eps"),
        ):  # fmt: skip
            given, known = getattr(asked, name), getattr(said, name)
            if given is not None and given != known:
                raise PoiseError(f"{option} {given}: {self.path} says {known}; leave {option} out")
        if asked.architecture is not None:
            raise PoiseError(
                f"--architecture {asked.architecture}: {self.path} describes the "
                "model; leave it out"
            )
        return said

    def applied(self, reading: Reading) -> Reading:
        """Adds facts that only the config contains: the activation and the preparation of images.

        Raises:
            PoiseError: the config and the weights disagree, or the activation is unknown.
        """
        options = dict(reading.backbone.options)
        registers = int(self.values.get("num_register_tokens") or 0)
        for name, said, found in (
            ("hidden_size", self._int("hidden_size"), options["embed_dim"]),
            ("patch_size", self._int("patch_size"), options["patch_size"]),
            ("num_register_tokens", registers, reading.backbone.num_registers),
        ):
            if said != found:
                raise PoiseError(
                    f"{self.path}: {name}={said}, but the weights are of a model with {found}"
                )
        if activation := self._activation():
            options["act_layer"] = activation
        backbone = reading.backbone.model_copy(update={"options": options})
        preparation = read_preprocessor(self.path.parent) or reading.preparation
        return replace(reading, backbone=backbone, preparation=preparation)

    def _activation(self) -> str | None:
        name = str(self.values.get("hidden_act", "gelu"))
        if self.values.get("use_swiglu_ffn"):
            return None  # DINOv2's SwiGLU always has silu
        if name not in _ACTIVATIONS:
            raise PoiseError(
                f"{self.path}: hidden_act={name}: Poise knows {', '.join(_ACTIVATIONS)}"
            )
        if self.values.get("use_gated_mlp"):
            if _ACTIVATIONS[name] != "silu":
                raise PoiseError(f"{self.path}: hidden_act={name}: timm's gated MLP has silu")
            return None
        return _ACTIVATIONS[name]

    def _grid(self) -> tuple[int, int]:
        size, patch = self.values.get("image_size"), self._int("patch_size")
        sides: Any = size if isinstance(size, list) and len(size) == 2 else (size, size)
        try:
            rows, columns = (int(side) // patch for side in sides)
        except (TypeError, ValueError, ZeroDivisionError):
            raise PoiseError(f"{self.path}: image_size={size}: is not a size in pixels") from None
        return rows, columns

    def _int(self, name: str) -> int:
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise PoiseError(f"{self.path}: {name}={value}: needs a whole number of at least 1")
        return value

    def _float(self, name: str, default: float) -> float:
        value = self.values.get(name, default)
        if not isinstance(value, int | float) or not 0 < value < 1:
            raise PoiseError(f"{self.path}: {name}={value}: needs a number between 0 and 1")
        return float(value)


_DEFAULT_EPS = {
    "vit": 1e-12,
    "vit_mae": 1e-12,
    "dinov2": 1e-6,
    "dinov2_with_registers": 1e-6,
    "dinov3_vit": 1e-5,
}


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        PoiseError: the file cannot be read or does not contain a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PoiseError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise PoiseError(f"{path}: needs a JSON object, not a {type(content).__name__}")
    return content


def read_preprocessor(folder: Path) -> Preparation | None:
    """Reads the preparation of images from a folder; None if it has no such file.

    Raises:
        PoiseError: the file has no means and standard deviations.
    """
    path = folder / PREPROCESSOR
    if not path.is_file():
        return None
    try:
        return from_preprocessor(read_json(path), PREPROCESSOR)
    except (LookupError, TypeError, ValueError) as error:
        raise PoiseError(
            f"{path}: has no image_mean and image_std that images can have: {error!r}"
        ) from None
