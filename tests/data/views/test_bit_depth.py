"""Images of more than eight bits keep their levels: numbers as in the file, scaled by one range."""

import struct
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from poise.data.views.bit_depth import DeepImage
from poise.data.views.decode import BadImageError, decode_rgb, read_image
from tests.data.deep_images import grey_file, nodata_file, png_file, ramp, tiff_file

TWELVE_BITS = {"uint16": (0.0, 4095.0)}


def numbers(data: bytes) -> DeepImage:
    pixels, _ = read_image(data)
    assert isinstance(pixels, DeepImage)
    return pixels


def levels(data: bytes, low: float, high: float) -> NDArray[np.uint8]:
    container = numbers(data).container
    return np.asarray(decode_rgb(data, {container: (low, high)}))


def expected(values: NDArray[Any], low: float, high: float) -> NDArray[np.float64]:
    scaled = (values.astype(np.float64) - low) * 255 / (high - low)
    result: NDArray[np.float64] = np.rint(scaled.clip(0, 255))
    return result


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_twelve_bits_in_sixteen_keep_all_256_levels(format: str) -> None:
    values = ramp(0, 4095)
    decoded = levels(grey_file(values, format), 0, 4095)
    assert len(np.unique(decoded)) == 256
    np.testing.assert_array_equal(decoded[..., 1], expected(values, 0, 4095))


def test_the_full_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = ramp(0, 65535)
    for format in ("PNG", "TIFF", "PPM"):
        decoded = levels(grey_file(values, format), 0, 65535)[..., 0]
        np.testing.assert_array_equal(decoded, expected(values, 0, 65535))


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("int16", -1024, 3071),
        ("int32", 0, 255),
        ("int32", -100_000, 2_000_000_000),
        ("uint32", 0, 4_000_000_000),
        ("float32", 0, 1),
        ("float32", -1000, 3000),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_each_kind_of_number_is_read_as_the_file_stores_it(
    kind: str, low: float, high: float, order: Literal["<", ">"]
) -> None:
    values = ramp(low, high, kind)
    data = tiff_file(values, order)
    if (kind, order) == ("uint32", ">"):
        with pytest.raises(BadImageError):  # Pillow does not read these
            read_image(data)
        return
    read = numbers(data)
    assert read.container == kind
    np.testing.assert_array_equal(read.values, values)
    np.testing.assert_array_equal(levels(data, low, high)[..., 0], expected(values, low, high))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_png_of_several_channels_keeps_both_bytes_of_each_number(channels: int) -> None:
    values = np.stack([ramp(0, 4095), ramp(50, 3000), ramp(7, 1000), ramp(9, 9)], axis=-1)
    values = values[..., :channels].copy()
    if channels in (2, 4):
        values[..., -1] = 65535
    colours = values[..., :3] if channels > 2 else np.repeat(values[..., :1], 3, axis=-1)
    np.testing.assert_array_equal(numbers(png_file(values)).values, colours)
    np.testing.assert_array_equal(levels(png_file(values), 0, 4095), expected(colours, 0, 4095))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("extra", [(), (0,), (2,)])
def test_a_tiff_of_several_channels_keeps_both_bytes_of_each_number(
    order: Literal["<", ">"], compressed: bool, extra: tuple[int, ...]
) -> None:
    values = np.stack([ramp(0, 4095), ramp(50, 3000), ramp(7, 1000), ramp(65535, 65535)], axis=-1)
    values = values[..., : 3 + len(extra)]
    data = tiff_file(values, order, extra, compressed)
    np.testing.assert_array_equal(numbers(data).values, values[..., :3])
    np.testing.assert_array_equal(levels(data, 0, 4095), expected(values[..., :3], 0, 4095))


def test_transparency_of_sixteen_bits_shows_white() -> None:
    values = np.stack([ramp(0, 4095)] * 3 + [ramp(65535, 65535)], axis=-1)
    values[:, 20:, 3] = 0
    decoded = levels(png_file(values), 0, 4095)
    assert (decoded[:, 20:] == 255).all()
    np.testing.assert_array_equal(decoded[:, :20], expected(values[:, :20, :3], 0, 4095))


def test_premultiplied_transparency_gives_the_colours_before_it() -> None:
    values = np.stack([ramp(2000, 2000)] * 3 + [ramp(32768, 32768)], axis=-1)
    decoded = levels(tiff_file(values, extra=(1,)), 0, 8000)
    np.testing.assert_allclose(decoded, 255 * (0.5 * 4000 / 8000 + 0.5), atol=1)


def test_one_grey_or_colour_may_stand_for_transparency() -> None:
    grey = ramp(0, 4095)
    decoded = levels(png_file(grey, tRNS=struct.pack(">H", 4095)), 0, 4095)
    assert (decoded[grey == 4095] == 255).all() and decoded[0, 0, 0] == 0
    colour = np.stack([grey, grey, grey], axis=-1)
    decoded = levels(png_file(colour, tRNS=struct.pack(">HHH", 0, 0, 0)), 0, 4095)
    assert (decoded[0, 0] == 255).all() and (decoded[0, 30] < 255).all()


def test_pixels_without_a_value_become_black_and_leave_the_others_alone() -> None:
    values = ramp(1, 2, "float32")
    clean = levels(grey_file(values), 1, 2)
    values[0, :4] = [np.nan, np.inf, -np.inf, -9999]
    decoded = levels(nodata_file(values, "-9999"), 1, 2)
    assert (decoded[0, :4] == 0).all()
    np.testing.assert_array_equal(decoded[0, 4:], clean[0, 4:])
    np.testing.assert_array_equal(decoded[1:], clean[1:])
    assert np.isfinite(numbers(nodata_file(values, "-9999")).measurable()).all()


@pytest.mark.parametrize("nodata", ["0", "65535", "nan", "no number"])
def test_a_declared_nodata_value_is_left_out_of_what_is_measured(nodata: str) -> None:
    values = ramp(0, 65535)
    left = numbers(nodata_file(values, nodata)).measurable()
    assert (nodata in ("0", "65535")) == (float(nodata) not in left if nodata.isdigit() else False)
    assert len(left) >= values.size - 8


def test_an_image_without_any_value_is_refused_and_a_constant_one_is_not() -> None:
    for data in (
        grey_file(np.full((24, 40), np.nan, np.float32)),
        grey_file(np.full((24, 40), np.inf, np.float32)),
        nodata_file(np.full((24, 40), -5, np.int32), "-5"),
    ):
        with pytest.raises(BadImageError, match="no pixel has a value"):
            read_image(data)
    assert (levels(grey_file(np.full((24, 40), 2, np.float32)), 0, 4) == 128).all()


def test_images_of_eight_bits_take_no_part_in_any_range() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    for values in (pixels, pixels[..., 0]):
        for format in ("PNG", "TIFF", "BMP"):
            decoded = np.asarray(decode_rgb(grey_file(values, format), TWELVE_BITS))
            shown = np.asarray(Image.fromarray(values).convert("RGB"))
            np.testing.assert_array_equal(decoded, shown)


def test_a_dataset_without_a_range_for_an_image_says_so() -> None:
    with pytest.raises(BadImageError, match="its values are float32, and the dataset has no range"):
        decode_rgb(grey_file(ramp(0, 1, "float32")), TWELVE_BITS)


def test_a_truncated_file_of_sixteen_bits_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), dtype=np.uint16)
    for data in (png_file(noise), tiff_file(noise), tiff_file(noise, compressed=True)):
        with pytest.raises(BadImageError):
            read_image(data[: len(data) // 2])


def test_rotation_is_undone_for_images_of_sixteen_bits() -> None:
    values = ramp(0, 4095)
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode_rgb(grey_file(values, "PNG", exif=exif), TWELVE_BITS)
    np.testing.assert_array_equal(
        np.asarray(decoded)[..., 0], np.rot90(expected(values, 0, 4095), -1)
    )
