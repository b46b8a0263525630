"""Writes a backbone as an ONNX file, and compares its features with those of torch.

In: a folder that ``poise.models.published.timm_folder`` wrote. Out: a file with the input
``images`` and the output ``features``. Next: ``poise.cli.models.pull``.

The number of images in a call may vary. The size of images may vary only if timm and Poise compute
the same features at every size. Otherwise the file accepts only the size of the evaluation.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from poise.config.errors import PoiseError, one_line
from poise.models.published.fit import difference_of
from poise.models.published.timm_folder import is_any_size
from poise.models.relative import EvaBackbone

TOLERANCE: Final = 1e-4
"""Largest allowed difference (``difference_of``) between features in onnxruntime and in torch.

The kernels of onnxruntime add numbers in another order, so results are not exactly equal.
"""

_MOST_IMAGES = 4096
_SMALLEST_PX, _LARGEST_PX, _LONGER_BY = 32, 4096, 5
_ONE_FILE_BYTES = 1_900_000_000  # ONNX's own limit for a file is 2 GB


@dataclass(frozen=True)
class OnnxFile:
    """Properties of a written ONNX file."""

    px: int | None
    """Side of the images in pixels; None if the size may vary."""

    difference: float
    """Largest difference between features in onnxruntime and in torch."""

    step: int = 1
    """Number of pixels of which the heights and widths of images must be multiples."""

    def sentence(self, name: str) -> str:
        """Returns a sentence for the model card about the file's input and precision."""
        size = f"of {self.px} × {self.px} pixels"
        if self.px is None:
            size = "of any size" if self.step == 1 else f"whose sides are multiples of {self.step}"
        return (
            f"`{name}` takes `images` (float32 [n, 3, height, width], normalised) {size}, and any "
            f"number of them. In onnxruntime its `features` differ by at most "
            f"{self.difference:.1g} from those of torch."
        )


def write_onnx(path: Path, folder: Path, backbone: nn.Module, px: int) -> OnnxFile:
    """Writes a backbone as ONNX, and compares its features in onnxruntime with torch's.

    Args:
        path: new file.
        folder: output of ``write_timm_folder``.
        backbone: backbone that the folder was written from, on the CPU.
        px: side of the images in pixels.

    Raises:
        PoiseError: a package is not installed, torch cannot export the backbone, or the features
            differ.
    """
    _check_installed()
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    # EVA computes rotary positions for one size, which the exported graph keeps.
    is_free = is_any_size(backbone) and not isinstance(backbone, EvaBackbone)
    step: int = backbone.patch_px  # type: ignore[assignment]
    longer = px + _LONGER_BY * step  # torch.export would treat equal sides as one variable
    images = torch.randn(2, 3, px, longer if is_free else px)
    num_bytes = sum(each.numel() * each.element_size() for each in backbone.parameters())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns about its own code
            torch.onnx.export(
                _Images(model),
                (images,),
                path,
                input_names=["images"],
                output_names=["features"],
                dynamic_shapes={"images": _free_sides(is_free, step)},
                external_data=num_bytes > _ONE_FILE_BYTES,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds
        raise PoiseError(f"torch cannot write this backbone as ONNX: {one_line(error)}") from None
    sizes = [(1, px, px), (3, px, px), *([(2, longer, px)] if is_free else [])]
    difference = max(_compare(path, backbone, each) for each in sizes)
    return OnnxFile(None if is_free else px, difference, step)


class _Images(nn.Module):
    """Wrapper whose argument ``images`` has the name of the file's input."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.model(images)
        return features


def _check_installed() -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise PoiseError(
            f"--onnx needs {error.name}; install it with `pip install 'poise[onnx]'`"
        ) from None


def _free_sides(is_free: bool, step: int) -> dict[int, Any]:
    """Describes the dimensions that may vary, for ``torch.onnx.export``.

    Heights and widths are multiples of ``step``, in pixels.
    """
    sides: dict[int, Any] = {0: torch.export.Dim("images", min=1, max=_MOST_IMAGES)}
    if is_free:
        for axis, name in ((2, "height"), (3, "width")):
            least = 2 if step > 1 else _SMALLEST_PX
            side = torch.export.Dim(name, min=least, max=_LARGEST_PX // step)
            sides[axis] = side if step == 1 else step * side
    return sides


def _compare(path: Path, backbone: nn.Module, size: tuple[int, int, int]) -> float:
    """Returns the largest difference between features of random images of this size.

    ``size`` is the number of images, their height and their width.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    number, height, width = size
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(number, 3, height, width, generator=generator)
    with torch.no_grad():
        ours = backbone(images)
    (theirs,) = session.run(None, {"images": images.numpy()})
    difference = difference_of(ours, torch.from_numpy(theirs))
    if not difference <= TOLERANCE:
        raise PoiseError(
            f"features in onnxruntime differ from torch's by {difference:.2g} for images of "
            f"{height} × {width} pixels; nothing was written"
        )
    return difference
