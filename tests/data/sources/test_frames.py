import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from poise.config import PoiseError
from poise.data.sources.frames import open_frames

SIZE = (32, 24)


def frame(number: int) -> Image.Image:
    return Image.new("RGB", SIZE, (10 * number, 0, 200))


def reds(path: Path) -> list[int]:
    return [image.getpixel((0, 0))[0] for image in open_frames(path).images]  # type: ignore[index]


def test_a_folder_gives_its_frames_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (9, 10, 1):
        frame(number).save(tmp_path / f"shot{number}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    frames = open_frames(tmp_path)
    assert frames.frame_ms is None
    assert [image.size for image in frames.images] == [SIZE] * 3
    assert reds(tmp_path) == [10, 90, 100]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_gives_its_frames_and_their_duration(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"video{suffix}"
    first, *rest = map(frame, (1, 5, 9))
    exact: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=rest, duration=80, **exact)
    assert open_frames(path).frame_ms == 80
    assert reds(path) == [10, 50, 90]


def test_a_single_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    frame(3).save(tmp_path / "one.jpg", quality=100)
    assert len(reds(tmp_path / "one.jpg")) == 1


def test_what_is_no_video_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.gif").write_text("no animation")
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "1.png").write_bytes(b"no picture")
    for name, message in (
        ("nowhere", "there is no such video"),
        ("text.gif", "cannot be read as a video"),
        ("empty", "holds no images"),
        ("damaged", "this frame cannot be read"),
    ):
        with pytest.raises(PoiseError, match=message):
            list(open_frames(tmp_path / name).images)


def test_a_video_file_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(PoiseError, match=r"clip.mp4: .*need PyAV or ffmpeg.*`pip install av`"):
        open_frames(tmp_path / "clip.mp4")


def test_ffmpeg_s_frames_are_read_one_behind_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    program = tmp_path / "ffmpeg"  # what the real one writes, without its libraries
    for number in (2, 4):
        frame(number).save(tmp_path / f"{number}.ppm")
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/2.ppm {tmp_path}/4.ppm\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    (tmp_path / "clip.mp4").write_bytes(b"")
    assert reds(tmp_path / "clip.mp4") == [20, 40]
    program.write_text("#!/bin/sh\necho moov atom not found >&2\n")
    with pytest.raises(PoiseError, match="ffmpeg cannot read this video: moov atom not found"):
        reds(tmp_path / "clip.mp4")


@pytest.mark.slow
def test_pyav_reads_a_video_file(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(5):
            container.mux(stream.encode(av.VideoFrame.from_image(frame(number))))
        container.mux(stream.encode())
    frames = open_frames(path)
    assert frames.frame_ms == pytest.approx(100)
    assert [image.size for image in frames.images] == [SIZE] * 5
