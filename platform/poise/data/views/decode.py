"""Decodes bytes to an RGB image. All code of Poise decodes images with this module.

In: the bytes of a file in any format that Pillow reads. Out: an upright RGB image, or
``BadImageError`` with a clear reason. Next: ``poise.data.preparation`` (checks and statistics),
``poise.data.views.cutter`` (crops) and ``poise.evaluation`` (features).
"""

import io
from collections.abc import Mapping

from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from poise.config.errors import one_line
from poise.data.manifest import Bounds
from poise.data.views.bit_depth import (
    GREY_MODES,
    DeepImage,
    NoValueError,
    is_deep_colour,
    read_colour,
    read_grey,
)

MIN_SIDE_PX = 8
"""Shortest allowed side of an image, so that views can be cut from it."""

MAX_PIXELS = 89_478_485
"""Largest number of pixels of an image that is decoded. Above this number, Pillow warns about
decompression bombs, which are small files that fill the memory.
"""

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
    """Error for an image that cannot be used for training. Its message is the reason."""


def decode_rgb(data: bytes, ranges: Mapping[str, Bounds] | None = None) -> Image.Image:
    """Decodes an image as RGB: first frame, upright according to its EXIF data, in full size.

    Transparent pixels are blended with white, as in most viewers. Without its alpha channel, an
    image would show colours that should be invisible.

    Args:
        data: bytes of the file.
        ranges: ``Manifest.ranges``, which scale images of more than eight bits.

    Raises:
        BadImageError: the bytes are no image that can be used (see ``read_image``), or the image
            has more than eight bits and ``ranges`` has no entry for its number type.
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
    """Reads the pixels of an encoded image, and the transposition that makes the image upright.

    Returns:
        An RGB image if it has eight bits per channel, or a ``DeepImage`` if it has more. The
        transposition is None if the image is already upright.

    Raises:
        BadImageError: the bytes are empty, not an image, truncated or damaged; no pixel has a
            value; a side is shorter than ``MIN_SIDE_PX``; or according to the header the image is
            larger than ``MAX_PIXELS``. In the last case no pixel is decoded.
    """
    image = _open(data)
    try:
        pixels = read_colour(data) if is_deep_colour(image) else _loaded(image)
        return pixels, _turn(image)
    except NoValueError as error:
        raise BadImageError(str(error)) from None
    except Exception as error:  # Pillow's decoders raise many kinds of errors on damaged bytes
        raise BadImageError(f"damaged or truncated: {_one_line(error)}") from None


def read_header(data: bytes) -> tuple[tuple[int, int], Image.Transpose | None]:
    """Returns an image's width and height as stored, and the transposition that makes it upright.

    Raises:
        BadImageError: see ``read_image``; damage that only decoding shows is not found.
    """
    image = _open(data)
    return image.size, _turn(image)


def upright_size(data: bytes) -> tuple[int, int]:
    """Returns width and height of the upright image, from its header alone.

    Raises:
        BadImageError: see ``read_header``.
    """
    (width, height), turn = read_header(data)
    return (height, width) if turn in _QUARTER_TURNS else (width, height)


def _open(data: bytes) -> Image.Image:
    """Opens an image and checks its header, without decoding pixels."""
    if not data:
        raise BadImageError("empty file")
    too_large = f"over {MAX_PIXELS / 1e6:.0f} megapixels"
    try:
        image = Image.open(io.BytesIO(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImageError(too_large) from None
    except UnidentifiedImageError:
        raise BadImageError("not an image that Pillow reads") from None
    except Exception as error:  # Pillow's decoders raise many kinds of errors
        raise BadImageError(f"damaged header: {_one_line(error)}") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImageError(f"{too_large} ({width}×{height})")
    if min(width, height) < MIN_SIDE_PX:
        raise BadImageError(f"only {width}×{height} pixels (at least {MIN_SIDE_PX} a side)")
    if image.format == "EPS":  # decoding it would run a program from an unknown source
        raise BadImageError("EPS is a program, not an image")
    return image


def _loaded(image: Image.Image) -> Image.Image | DeepImage:
    """Decodes an opened image into its pixels."""
    image.load()
    if image.mode in GREY_MODES:
        return read_grey(image)
    if image.mode != "RGB" or "transparency" in image.info:
        return _to_rgb(image)
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts a loaded image of eight bits per channel, in any of Pillow's modes, to RGB."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        flat = Image.new("RGB", layer.size, _BACKGROUND)
        flat.paste(layer, mask=layer.getchannel("A"))
        return flat
    if image.mode == "LAB":  # the only mode that Pillow's convert does not support
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
        return ImageCms.applyTransform(image, transform) or image
    return image.convert("RGB")


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Returns the transposition that makes an image upright; None if its EXIF data are damaged."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # the pixels are valid even if the metadata are not
        return None


def _one_line(error: Exception) -> str:
    return one_line(error, 200) or type(error).__name__
