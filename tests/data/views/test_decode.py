"""Every format and every fault, made here with Pillow."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poise.data.views.decode import MIN_SIDE_PX, BadImageError, decode_rgb

RED = (200, 30, 20)


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def solid(mode: str = "RGB", color: Any = RED, size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.new(mode, size, color)


def mean_color(image: Image.Image) -> np.ndarray:
    mean: np.ndarray = np.asarray(image, dtype=np.float64).mean(axis=(0, 1))
    return mean


@pytest.mark.parametrize(
    "format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "JPEG2000"]
)
def test_a_color_survives_every_common_format(format: str) -> None:
    decoded = decode_rgb(encode(solid(), format))
    assert decoded.mode == "RGB"
    assert decoded.size == (24, 16)
    np.testing.assert_allclose(mean_color(decoded), RED, atol=6)


@pytest.mark.parametrize("mode, format", [("L", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("LA", "PNG")])
def test_grey_images_become_equal_channels(mode: str, format: str) -> None:
    decoded = np.asarray(decode_rgb(encode(solid("L", 255).convert(mode), format)))
    assert decoded.shape == (16, 24, 3)
    assert (decoded >= 254).all()


def test_a_cmyk_jpeg_keeps_its_colors() -> None:
    decoded = decode_rgb(encode(solid().convert("CMYK"), "JPEG"))
    np.testing.assert_allclose(mean_color(decoded), RED, atol=6)


def test_lab_and_ycbcr_keep_their_colors() -> None:
    lab = solid("LAB", (255, 128, 128))
    np.testing.assert_allclose(mean_color(decode_rgb(encode(lab, "TIFF"))), 255, atol=4)
    ycbcr = solid().convert("YCbCr")
    np.testing.assert_allclose(mean_color(decode_rgb(encode(ycbcr, "TIFF"))), RED, atol=4)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_transparency_shows_white_not_the_hidden_color(format: str) -> None:
    image = solid("RGBA", (*RED, 0))
    image.paste((*RED, 255), (0, 0, 12, 16))
    decoded = np.asarray(decode_rgb(encode(image, format, lossless=True)))
    assert (decoded[:, 12:] == 255).all()
    assert (decoded[:, :12] == RED).all()


def test_transparent_palette_entries_show_white() -> None:
    image = Image.new("P", (24, 16), 1)
    image.putpalette([0, 0, 0, *RED])
    image.paste(0, (0, 0, 12, 16))
    for format in ("PNG", "GIF"):
        decoded = np.asarray(decode_rgb(encode(image, format, transparency=0)))
        assert (decoded[:, :12] == 255).all()
        assert (decoded[:, 12:] == RED).all()


def test_a_transparent_color_in_a_png_without_alpha_shows_white() -> None:
    image = solid()
    image.paste((1, 2, 3), (0, 0, 12, 16))
    decoded = np.asarray(decode_rgb(encode(image, "PNG", transparency=(1, 2, 3))))
    assert (decoded[:, :12] == 255).all()
    assert (decoded[:, 12:] == RED).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    second = solid(color=(0, 0, 255))
    data = encode(solid(), format, save_all=True, append_images=[second], duration=50)
    np.testing.assert_allclose(mean_color(decode_rgb(data)), RED, atol=6)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone_once(format: str, orientation: int) -> None:
    upright = solid(color=(255, 255, 255), size=(48, 32))
    upright.paste((0, 0, 0), (0, 0, 12, 8))  # a dark top left corner tells every turn apart
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright if orientation == 1 else upright.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_rgb(encode(stored, format, exif=exif))
    assert decoded.size == upright.size
    difference = np.asarray(decoded, dtype=int) - np.asarray(upright, dtype=int)
    assert np.abs(difference).mean() < 3


def test_a_damaged_exif_block_does_not_lose_the_image() -> None:
    data = encode(solid(), "JPEG", exif=b"Exif\x00\x00not a tiff header")
    np.testing.assert_allclose(mean_color(decode_rgb(data)), RED, atol=6)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_truncated_file_is_refused(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format)
    with pytest.raises(BadImageError, match=r"damaged|truncated|not an image"):
        decode_rgb(data[: len(data) // 2])


def test_an_empty_file_and_a_text_file_are_refused_by_name() -> None:
    with pytest.raises(BadImageError, match="empty"):
        decode_rgb(b"")
    with pytest.raises(BadImageError, match="not an image"):
        decode_rgb(b"<html>404</html>")


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (MIN_SIDE_PX, MIN_SIDE_PX - 1)])
def test_an_image_too_small_to_cut_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadImageError, match=f"{size[0]}×{size[1]}"):
        decode_rgb(encode(solid(size=size), "PNG"))
    decode_rgb(encode(solid(size=(MIN_SIDE_PX, MIN_SIDE_PX)), "PNG"))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(20_000, 10_000), (10_000, 10_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_gigantic_image_is_refused_before_it_is_decoded(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = encode(Image.new("1", size), "PNG")

    def never(self: Any) -> None:
        raise AssertionError("decoded a decompression bomb")

    monkeypatch.setattr(Image.Image, "load", never)
    with pytest.raises(BadImageError, match="over 89 megapixels"):
        decode_rgb(bomb)
