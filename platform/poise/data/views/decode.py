"""Encoded bytes to an RGB picture, the same way wherever Poise looks at an image.

In: the bytes of a file in any format that Pillow reads. Out: an upright RGB image, or
``BadImageError`` with a reason that a person understands. Next: ``poise.data.preparation``
(checks and statistics), ``poise.data.views.cutter`` (crops) and ``poise.evaluation`` (features).
"""

import io
from collections.abc import Mapping

from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from poise.config.errors import one_line
from poise.data.manifest import Bounds
from poise.data.views.depth import (
    GREY_MODES,
    DeepImage,
    NoValueError,
    is_deep_colour,
    read_colour,
    read_grey,
)

MIN_SIDE_PX = 8
"""Shortest side of an image that views can be cut from."""

MAX_PIXELS = 89_478_485
"""Most pixels that are decoded: the size from which Pillow warns of decompression bombs."""

_BACKGROUND = (255, 255, 255)
_TURNS = {  # EXIF orientation → the transposition that makes the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS = {_TURNS[number] for number in (5, 6, 7, 8)}


class BadImageError(ValueError):
    """These bytes are no image to train on; the message is the reason."""


def decode_rgb(data: bytes, ranges: Mapping[str, Bounds] | None = None) -> Image.Image:
    """An encoded image as RGB: first frame, upright as its EXIF says, at its full size.

    Transparency is composited on white, as most viewers show it (dropping the alpha channel
    would uncover the colours that the encoder left there).

    Args:
        data: the file.
        ranges: ``Manifest.ranges``, which scale images of more than eight bits.

    Raises:
        BadImageError: as ``read_image``; or the image has more than eight bits and ``ranges`` has
            none for its container.
    """
    pixels, turn = read_image(data)
    if isinstance(pixels, DeepImage):
        bounds = (ranges or {}).get(pixels.container)
        if bounds is None:
            raise BadImageError(
                f"its values are {pixels.container}, and the dataset has no range for them"
            )
        pixels = pixels.to_rgb(bounds)
    return pixels if turn is None else pixels.transpose(turn)


def read_image(data: bytes) -> tuple[Image.Image | DeepImage, Image.Transpose | None]:
    """The pixels of an encoded image, and the transposition that makes them upright.

    Returns:
        RGB for images of eight bits per channel, and a ``DeepImage`` for those of more.

    Raises:
        BadImageError: empty, not an image, truncated or damaged, without a value in any pixel,
            shorter than ``MIN_SIDE_PX`` on a side, or larger than ``MAX_PIXELS`` (which the header
            says, before anything is decoded).
    """
    image = _open(data)
    try:
        pixels = read_colour(data) if is_deep_colour(image) else _loaded(image)
        return pixels, _turn(image)
    except NoValueError as error:
        raise BadImageError(str(error)) from None
    except Exception as error:  # Pillow's decoders raise nearly anything on hostile bytes
        raise BadImageError(f"damaged or truncated: {_one_line(error)}") from None


def upright_size(data: bytes) -> tuple[int, int]:
    """Reads the width and height of an encoded image from its header, upright as its EXIF says.

    Raises:
        BadImageError: empty, not an image, or of a size that is refused.
    """
    image = _open(data)
    turned = _turn(image) in _QUARTER_TURNS
    return (image.height, image.width) if turned else image.size


def read_header(data: bytes) -> tuple[tuple[int, int], Image.Transpose | None]:
    """Width and height of an image as stored, and the transposition that makes it upright.

    Raises:
        BadImageError: as ``read_image``, but no pixel is decoded.
    """
    image = _open(data)
    return image.size, _turn(image)


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


def _loaded(image: Image.Image) -> Image.Image | DeepImage:
    """Decodes an opened image."""
    image.load()
    if image.mode in GREY_MODES:
        return read_grey(image)
    if image.mode != "RGB" or "transparency" in image.info:
        return _to_rgb(image)
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """A loaded image of eight bits per channel, in any of Pillow's modes, as RGB."""
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


def _turn(image: Image.Image) -> Image.Transpose | None:
    """The transposition that makes the image upright; none where its EXIF block is damaged."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the pixels are fine, even where the metadata is not
        return None


def _one_line(error: Exception) -> str:
    return one_line(error, 200) or type(error).__name__
