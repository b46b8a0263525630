"""Backbone as an MLflow model: it gets images and returns embeddings or dense features.

In: a list of images. Out: float32 arrays. Next: nothing.

This file is copied into every registered version, beside its weights. ``mlflow.pyfunc`` runs the
copy. It needs timm and torch, but not Poise. It computes the same features as ``poise.evaluation``.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray
from PIL import Image, ImageOps

FEATURES = ("embedding", "dense")

_BATCH = 32
_SHORTER_SIDE = 256 / 224  # of the published evaluation: resize to 256, crop 224
_MIN_SIDE_PX = 8
_MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs
_MOST_RESIZED_PIXELS = 2**24
_DATA_URI = "data:"


class Backbone(PythonModel):  # type: ignore[misc]
    """Backbone that also prepares its images."""

    def load_context(self, context: PythonModelContext) -> None:
        """Builds the model that ``model_config`` describes, and loads its weights."""
        import timm
        import torch
        from safetensors.torch import load_file

        config = context.model_config
        self.image_px = int(config["image_px"])
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.mean, self.std = (
            torch.tensor(config[name], device=self.device).view(3, 1, 1) for name in ("mean", "std")
        )
        model = timm.create_model(config["architecture"], **config["model_args"])
        model.load_state_dict(load_file(context.artifacts["weights"]))
        if config.get("norm_eps") is not None:
            for module in model.modules():
                if isinstance(module, torch.nn.LayerNorm):
                    module.eps = config["norm_eps"]
        if config["position_resampling"] == "dino":
            _fit_positions(model, self.image_px)
        self.model = model.eval().to(self.device)

    def predict(
        self,
        context: PythonModelContext,
        model_input: list[Any],
        params: dict[str, Any] | None = None,
    ) -> NDArray[np.float32]:
        """Computes features of images.

        Args:
            context: not used.
            model_input: for each image one of: the bytes of an image file, a ``pathlib.Path``, a
                uint8 array [h, w] or [h, w, 3], or a text ``data:image/…;base64,…``. A text is
                never a path, so that a server opens no files for its clients.
            params: ``features`` is ``embedding`` or ``dense``.

        Returns:
            Embeddings [n, D], or dense features [n, rows, columns, D].

        Raises:
            MlflowException: an image cannot be read. The message names the image and the reason.
        """
        import torch

        wanted = (params or {}).get("features", FEATURES[0])
        if wanted not in FEATURES:
            raise _refused(f"features={wanted!r}: choose from {', '.join(FEATURES)}")
        compute = self._embedding if wanted == "embedding" else self._dense
        found = []
        for start in range(0, len(model_input), _BATCH):
            images = self._prepared(model_input[start : start + _BATCH], start)
            with torch.inference_mode():
                found.append(compute(images).float().cpu().numpy())
        return np.concatenate(found) if found else np.zeros((0, self.model.num_features), "float32")

    def _prepared(self, given: Sequence[Any], start: int) -> Any:
        import torch

        px = self.image_px
        pixels = np.empty((len(given), px, px, 3), np.uint8)
        for number, each in enumerate(given):
            try:
                pixels[number] = np.asarray(_cropped(_upright(_opened(each)), px))
            except Exception as error:  # Pillow's decoders raise many kinds on damaged bytes
                raise _refused(f"image {start + number}: {error}") from None
        images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
        return (images.float() / 255 - self.mean) / self.std

    def _embedding(self, images: Any) -> Any:
        """Computes the feature that Poise evaluates: [cls], or the model's own pooling: [n, D]."""
        if getattr(self.model, "cls_token", None) is None or not _is_plain_vit(self.model):
            return self.model(images)
        return self.model.forward_features(images)[:, 0]

    def _dense(self, images: Any) -> Any:
        """Computes the features of patches after the last norm: [n, rows, columns, D]."""
        found = self.model.forward_features(images)
        if found.ndim == 4:
            return found.permute(0, 2, 3, 1)  # a residual network has channels first
        found = _last_norm(self.model)(found)[:, self.model.num_prefix_tokens :]
        patch_px = self.model.patch_embed.patch_size
        rows, columns = images.shape[2] // patch_px[0], images.shape[3] // patch_px[1]
        return found.unflatten(1, (rows, columns))


def _is_plain_vit(model: Any) -> bool:
    """Returns True if the feature is [cls] after the last norm, and not the model's own pooling."""
    from timm.models import VisionTransformer
    from torch import nn

    pools = model.global_pool == "avg" and not isinstance(model.fc_norm, nn.Identity)
    return isinstance(model, VisionTransformer) and not pools


def _last_norm(model: Any) -> Any:
    """Returns the norm that ``forward_features`` does not apply: ``fc_norm`` or the identity."""
    from torch import nn

    after_pooling = getattr(model, "fc_norm", None)
    return nn.Identity() if after_pooling is None else after_pooling


def _fit_positions(model: Any, image_px: int) -> None:
    """Resizes the position embeddings of patches as DINO's published code does. timm does not."""
    import torch
    from torch.nn.functional import interpolate

    positions = getattr(model, "pos_embed", None)
    if positions is None:
        return
    side, native = image_px // model.patch_embed.patch_size[0], model.patch_embed.grid_size
    if (side, side) == tuple(native):
        return
    covered = positions.shape[1] - native[0] * native[1]
    grid = positions[:, covered:].detach().unflatten(1, native).permute(0, 3, 1, 2)
    scale = [(side + 0.1) / length for length in native]
    grid = interpolate(grid, scale_factor=scale, mode="bicubic", recompute_scale_factor=False)
    model.set_input_size(img_size=(image_px, image_px))
    fitted = torch.cat([positions[:, :covered].detach(), grid.flatten(2).transpose(1, 2)], dim=1)
    model.pos_embed = torch.nn.Parameter(fitted)


def _opened(given: Any) -> Image.Image:
    """Opens one image in any of the accepted forms."""
    if isinstance(given, str):
        if not given.startswith(_DATA_URI):
            raise ValueError("a text must begin with data:image/; give a path as pathlib.Path")
        given = base64.b64decode(given.partition(",")[2], validate=True)
    if isinstance(given, bytes | bytearray | memoryview):
        return Image.open(io.BytesIO(bytes(given)))
    if isinstance(given, Path):
        return Image.open(given)
    array = np.asarray(given)
    if array.dtype != np.uint8 and isinstance(given, list):  # JSON has no uint8
        narrow = array.astype(np.uint8) if array.dtype.kind == "i" else array
        array = narrow if np.array_equal(narrow, array) else array
    if array.dtype != np.uint8 or array.shape[2:] not in ((), (1,), (3,), (4,)) or array.ndim < 2:
        raise ValueError(
            f"a {array.dtype} array of shape {list(array.shape)}; give uint8 [h, w] or [h, w, 3]"
        )
    return Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)


def _upright(image: Image.Image) -> Image.Image:
    """Decodes an image as RGB. It is upright as its EXIF data say, with white for transparency."""
    width, height = image.size
    if width * height > _MAX_PIXELS or min(width, height) < _MIN_SIDE_PX:
        raise ValueError(f"{width} × {height} pixels: too small or too large")
    if image.mode.startswith(("I", "F")) or ";16" in str(getattr(image, "tile", "")):
        raise ValueError("more than 8 bits per channel; scale it to 8 bits first")
    image = ImageOps.exif_transpose(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    flat = Image.new("RGB", layer.size, (255, 255, 255))
    flat.paste(layer, mask=layer.getchannel("A"))
    return flat


def _cropped(image: Image.Image, px: int) -> Image.Image:
    """Resizes the shorter side to px·256/224, and crops the centre."""
    shorter, least = round(px * _SHORTER_SIDE), min(image.size)
    size = tuple(shorter if side == least else int(shorter * side / least) for side in image.size)
    left, top = (round((side - px) / 2) for side in size)
    if size[0] * size[1] <= _MOST_RESIZED_PIXELS:
        resized = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        return resized.crop((left, top, left + px, top + px))
    # A very wide or high image is cropped while it is resized. This changes a pixel by one level.
    across, down = image.width / size[0], image.height / size[1]
    box = (left * across, top * down, (left + px) * across, (top + px) * down)
    return image.resize((px, px), Image.Resampling.BICUBIC, box=box)


def _refused(message: str) -> Exception:
    error: Exception = MlflowException.invalid_parameter_value(message)
    return error


set_model(Backbone())
