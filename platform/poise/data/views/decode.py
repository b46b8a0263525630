"""Encoded bytes to an RGB picture, the same way wherever Poise looks at an image.

In: the bytes of a file in any format that Pillow reads. Out: an upright RGB image, or
``BadImageError`` with a reason that a person understands. Next: ``poise.data.preparation.ingest``
(checks and statistics), ``poise.data.views.cutter`` (crops) and ``poise.evaluation`` (features).
"""

import io

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

MIN_SIDE_PX = 8
"""Images with a shorter side carry nothing to cut views from."""

MAX_PIXELS = 89_478_485
"""Where Pillow begins to speak of decompression bombs; larger images are never decoded."""

_BACKGROUND = (255, 255, 255)
_WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_TURNS = {  # EXIF orientation → what makes it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImageError(ValueError):
    """These bytes are no image to train on; the message is the reason."""


def decode_rgb(data: bytes) -> Image.Image:
    """An encoded image as RGB: first frame, upright as its EXIF says, at its full size.

    Transparency is composited on white, as most viewers show it (dropping the alpha channel
    would uncover whatever colour the encoder left there). Sixteen-bit grey is scaled to eight
    bits, not clipped.

    Raises:
        BadImageError: empty, not an image, truncated or damaged, under ``MIN_SIDE_PX`` on a
            side, or over ``MAX_PIXELS`` (told from the header, before decoding).
    """
    image = _open(data)
    try:
        image.load()
        turn = _turn(image)
        if image.mode != "RGB" or "transparency" in image.info:
            image = _to_rgb(image)
        return image if turn is None else image.transpose(turn)
    except Exception as error:  # Pillow's decoders raise nearly anything on hostile bytes
        raise BadImageError(f"damaged or truncated: {_one_line(error)}") from None


def _open(data: bytes) -> Image.Image:
    """The image behind a checked header; no pixel is decoded yet."""
    if not data:
        raise BadImageError("empty file")
    too_large = f"over {MAX_PIXELS / 1e6:.0f} megapixels"
    try:
        image = Image.open(io.BytesIO(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError(too_large) from None
    except UnidentifiedImageError:
        raise BadImageError("not an image that Pillow reads") from None
    except Exception as error:  # as above
        raise BadImageError(f"damaged header: {_one_line(error)}") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImageError(f"{too_large} ({width}×{height})")
    if min(width, height) < MIN_SIDE_PX:
        raise BadImageError(f"only {width}×{height} pixels (at least {MIN_SIDE_PX} a side)")
    if image.format == "EPS":  # decoding it would run Ghostscript on a stranger's program
        raise BadImageError("EPS is a program, not an image")
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB."""
    if image.mode in _WIDE_MODES:
        return Image.fromarray(_to_eight_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        flat = Image.new("RGB", layer.size, _BACKGROUND)
        flat.paste(layer, mask=layer.getchannel("A"))
        return flat
    if image.mode == "LAB":  # the one mode that Pillow's convert does not know
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
        return ImageCms.applyTransform(image, transform) or image
    return image.convert("RGB")


def _to_eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey levels of more than eight bits, scaled to uint8.

    Integers span 16 bits and floats [0, 1] where their values fit, as files hold them; anything
    else (a 32-bit depth map, say) is stretched over its own range.
    """
    grey = np.nan_to_num(values.astype(np.float64))
    low, high = 0.0, 1.0 if values.dtype.kind == "f" else 65535.0
    if grey.min() < low or grey.max() > high:
        low, high = float(grey.min()), float(grey.max())
    scaled: np.ndarray = np.rint((grey - low) * (255.0 / (high - low))).astype(np.uint8)
    return scaled


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes the image upright, by its EXIF orientation; a damaged EXIF block says nothing."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the pixels are fine, whatever the metadata
        return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
