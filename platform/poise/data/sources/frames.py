"""Reads the frames of a video from a folder of images, an animated image, or a video file.

In: a path. Out: ``Frames``, which are decoded one at a time. Next:
``poise.evaluation.objects.attention_video``.

Pillow reads animated GIF, WebP and PNG files. Video files need PyAV or the program ffmpeg.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import Image

from poise.config.errors import PoiseError, one_line
from poise.data.sources.annotated.sequences import frame_order
from poise.data.sources.files import IMAGE_SUFFIXES
from poise.data.views.decode import BadImageError, decode_rgb

VIDEO_SUFFIXES = frozenset((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"))
"""Suffixes of video files, which Pillow cannot read."""

_DEFAULT_MS = 40.0  # duration of a frame without one: 25 frames a second


@dataclass(frozen=True)
class Frames:
    """Frames of a video."""

    images: Iterator[Image.Image]
    """RGB images in order. The iterator can be read only once."""

    frame_ms: float | None
    """Duration of a frame in milliseconds; None if the source does not contain it."""


def open_frames(path: str | Path) -> Frames:
    """Opens a video.

    Args:
        path: folder of images, animated GIF, WebP or PNG file, or video file. The images of a
            folder are sorted by name, with numbers in names by value.

    Raises:
        PoiseError: the path does not exist or cannot be read, or no program to read it is
            installed. A damaged frame raises this error when the frame is read.
    """
    path = Path(path)
    if path.is_dir():
        return Frames(_of_folder(path), None)
    if not path.is_file():
        raise PoiseError(f"{path}: there is no such video; name a file or a folder of frames")
    return _of_video(path) if path.suffix.lower() in VIDEO_SUFFIXES else _of_animation(path)


def _of_folder(folder: Path) -> Iterator[Image.Image]:
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise PoiseError(f"{folder}: holds no images; name a folder of frames such as 00001.jpg")
    return map(_decoded, sorted(found, key=lambda path: frame_order(path.name)))


def _decoded(path: Path) -> Image.Image:
    try:
        return decode_rgb(path.read_bytes())
    except (BadImageError, OSError) as error:
        raise PoiseError(f"{path}: this frame cannot be read: {one_line(error)}") from None


def _of_animation(path: Path) -> Frames:
    with _opened(path) as image:
        duration = float(image.info.get("duration") or _DEFAULT_MS)
    return Frames(_animated(path), duration)


def _opened(path: Path) -> Image.Image:
    """Opens an image and decodes its first frame, which contains the duration."""
    try:
        image = Image.open(path)
        image.load()
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        raise _unreadable(path, error) from None
    return image


def _animated(path: Path) -> Iterator[Image.Image]:
    with _opened(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            try:
                image.seek(number)
                frame = image.convert("RGB")
            except Exception as error:  # as above
                raise _unreadable(path, error) from None
            yield frame


def _of_video(path: Path) -> Frames:
    try:
        import av
    except ImportError:
        program = shutil.which("ffmpeg")
        if program is None:
            raise PoiseError(
                f"{path}: video files need PyAV or ffmpeg, and neither is installed; run "
                "`pip install av`, or name a folder of frames or an animated GIF"
            ) from None
        return Frames(_by_ffmpeg(program, path), None)
    try:
        container = av.open(str(path))
        rate = container.streams.video[0].average_rate
    except (av.FFmpegError, IndexError) as error:
        raise _unreadable(path, error) from None
    return Frames(_by_pyav(path, container), float(1000 / rate) if rate else None)


def _by_pyav(path: Path, container: Any) -> Iterator[Image.Image]:
    import av

    with container:
        try:
            for frame in container.decode(video=0):
                yield frame.to_image()
        except av.FFmpegError as error:
            raise _unreadable(path, error) from None


def _by_ffmpeg(program: str, path: Path) -> Iterator[Image.Image]:
    """Yields the frames that the program ffmpeg writes as PPM images, one after the other."""
    command = [program, "-nostdin", "-v", "fatal", "-i", str(path)]
    command += ["-f", "image2pipe", "-c:v", "ppm", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as running:
        assert running.stdout is not None and running.stderr is not None
        try:
            while image := _next_ppm(running.stdout):
                yield image
            complaint = running.stderr.read().decode(errors="replace").strip()
        finally:
            running.kill()
    if complaint:
        raise PoiseError(f"{path}: ffmpeg cannot read this video: {one_line(complaint)}")


def _next_ppm(stream: IO[bytes]) -> Image.Image | None:
    """Reads one PPM image: three lines of header, then RGB bytes. Returns None at the end."""
    if not stream.readline():
        return None
    width, height = map(int, stream.readline().split())
    stream.readline()
    data = stream.read(3 * width * height)
    if len(data) < 3 * width * height:  # ffmpeg ended within a frame, and says why
        return None
    return Image.frombytes("RGB", (width, height), data)


def _unreadable(path: Path, error: Exception) -> PoiseError:
    return PoiseError(f"{path}: cannot be read as a video: {one_line(error)}")
