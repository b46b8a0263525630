"""Opens a source of images, given as a word or a path, as an ``ImageSource``.

In: the source argument of ``poise data prepare``. Out: a source that counts its samples and splits
them into ``Part``s. Next: ``poise.data.preparation.ingest``.

If the argument has two possible meanings, Poise does not guess. It raises an error that shows a
command for each meaning.
"""

import glob
from dataclasses import replace
from pathlib import Path

from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.wording import counted
from poise.data.sources import scene_drawing, scene_motion
from poise.data.sources.annotated.opening import open_annotated
from poise.data.sources.annotated.source import AnnotatedSource
from poise.data.sources.archives import advice, is_archive
from poise.data.sources.base import ImageSource
from poise.data.sources.files import FilesSource, is_image_name, is_other_name, suffix
from poise.data.sources.folders import is_metadata, open_folder
from poise.data.sources.options import NO_LABELS, PrepareCommand, PrepareOptions
from poise.data.sources.safe_names import is_utf8, shown
from poise.data.sources.scenes import (
    DEFAULT_NUM_FRAMES,
    DEFAULT_NUM_SCENES,
    ScenesSource,
    SceneVideosSource,
)
from poise.data.sources.source_paths import is_remote, joined, plain_path
from poise.data.sources.unlabelled import UnlabelledSource
from poise.data.sources.walk import FoundFile, Walk, is_file, is_folder, walk

FORMATS = ("images", "parquet")


def open_source(
    text: str, options: PrepareOptions | None = None, destination: str = "DEST"
) -> ImageSource:
    """Opens the source that the user named.

    Args:
        text: ``scenes``, ``scenes-video``, ``torchvision:<Name>[/<split>]``, a Parquet file, a
            folder or a glob of Parquet files, or a folder of images with or without class folders.
        options: which images to take; None means ``PrepareOptions()``.
        destination: folder of the dataset, for the commands in error messages.

    Raises:
        PoiseError: the source does not exist, it contains no images, an option does not apply, or
            the source has two possible meanings.
    """
    command = PrepareCommand(text, destination, options or PrepareOptions())
    if not text:
        raise PoiseError(
            "SOURCE is empty; give a folder, Parquet files, torchvision:<Name> or scenes"
        )
    if not is_utf8(text):
        raise PoiseError(f"{shown(text)}: this path is not UTF-8; rename it, or give a link to it")
    _check_format(command)
    _check_file_options(command)
    if text in ("scenes", "scenes-video"):
        return _open_scenes(command)
    if command.options.image_px is not None:
        raise PoiseError(
            f"--image-px {command.options.image_px}: only `scenes` and `scenes-video` are drawn to "
            f"a size; '{text}' keeps its files as they are"
        )
    if text.startswith("torchvision:"):
        from poise.data.sources.torchvision import open_torchvision  # importing torch takes seconds

        return _with_own_labels(command, open_torchvision(text))
    if is_folder(text):
        return _open_folder(command)
    return _open_files(command)


def _check_format(command: PrepareCommand) -> None:
    wanted = command.options.format
    if wanted is None:
        return
    if wanted not in FORMATS:
        raise PoiseError(f"--format {wanted}: choose images or parquet")
    if not is_folder(command.source):
        raise PoiseError(
            f"--format {wanted}: applies to folders, and '{shown(command.source)}' is none; "
            "leave the option out"
        )


def _check_file_options(command: PrepareCommand) -> None:
    given = command.options.file_options()
    if given and is_remote(command.source):
        raise PoiseError(
            f"{given[0]}: applies to a folder of this machine; copy {shown(command.source)} to one"
        )
    if given and not is_folder(command.source):
        raise PoiseError(
            f"{given[0]}: applies to a folder of image files, and '{shown(command.source)}' is "
            "none; leave the option out"
        )
    if given and command.options.format == "parquet":
        raise PoiseError(f"{given[0]}: applies to image files, not to --format parquet")


def _with_own_labels(command: PrepareCommand, source: ImageSource) -> ImageSource:
    """Applies the option ``--label`` to a source that already has labels."""
    label = command.options.label
    if label == NO_LABELS:
        return UnlabelledSource(source)
    if label is not None:
        raise PoiseError(
            f"--label {label}: '{command.source}' has its own labels; leave the option out, or "
            f"prepare without labels: `{command.using(label=NO_LABELS)}`"
        )
    return source


def _open_scenes(command: PrepareCommand) -> ImageSource:
    options, is_video = command.options, command.source == "scenes-video"
    drawing, number = scene_drawing.DEFAULT_PX, DEFAULT_NUM_SCENES
    if is_video:
        drawing, number = scene_motion.DEFAULT_PX, DEFAULT_NUM_FRAMES
    px = drawing if options.image_px is None else options.image_px
    number = options.num_images or number
    source: ImageSource = ScenesSource(number, options.seed, px)
    if is_video:
        source = SceneVideosSource(number, options.seed, px)
    return _with_own_labels(command, source)


def _open_folder(command: PrepareCommand) -> ImageSource:
    """Opens a folder of images or of Parquet files. Raises an error if the folder contains both."""
    found = walk(command.source)
    _refuse_what_is_no_source(command, found)
    if command.options.file_options():
        return _with_link_note(command, found, open_annotated(command, found.files))
    images = [file for file in found.files if suffix(file.path) != ".parquet"]
    parquet = [file for file in found.files if suffix(file.path) == ".parquet"]
    if any(is_image_name(file.path) for file in images):
        parquet = [file for file in parquet if not is_metadata(file.path)]
    wanted = command.options.format or _only_format(command, found, images, parquet)
    chosen = images if wanted == "images" else parquet
    if not chosen:
        raise PoiseError(f"--format {wanted}: there are no such files in {shown(command.source)}")
    if wanted == "parquet":
        return _open_parquet(command, [joined(command.source, file.path) for file in chosen])
    metadata = [file for file in found.files if is_metadata(file.path)]
    return _with_link_note(command, found, open_folder(command, sorted({*chosen, *metadata})))


def _with_link_note(
    command: PrepareCommand, found: Walk, opened: FilesSource | AnnotatedSource
) -> ImageSource:
    links = found.inner_links
    if not links:
        return opened
    note = f"did not follow {counted(len(links), 'link')} to folders of {shown(command.source)}"
    return replace(opened, notes=(*opened.notes, f"{note} ('{shown(links[0])}')"))


def _refuse_what_is_no_source(command: PrepareCommand, found: Walk) -> None:
    source, paths = command.source, [file.path for file in found.files]
    if not paths:
        raise PoiseError(
            f"{shown(source)}: there is no file in this folder (names that begin with a dot are "
            "left out)"
        )
    if "manifest.json" in paths and any(
        path.startswith("shard-") and suffix(path) == ".parquet" for path in paths
    ):
        raise PoiseError(
            f"{shown(source)}: is a prepared dataset already; use it as it is, or prepare its "
            "source again"
        )
    if not all(is_other_name(path) and suffix(path) != ".parquet" for path in paths):
        return
    if archives := [path for path in paths if is_archive(path)]:
        raise PoiseError(advice(command, archives))
    arrow = any(suffix(path) == ".arrow" for path in paths)
    raise PoiseError(
        f"{shown(source)}: holds no images and no Parquet files, only such as '{shown(paths[0])}'"
        + "; write a saved Hugging Face dataset with its `to_parquet` method first" * arrow
    )


def _only_format(
    command: PrepareCommand, found: Walk, images: list[FoundFile], parquet: list[FoundFile]
) -> str:
    if not parquet:
        return "images"
    pictures = [file for file in images if is_image_name(file.path)]
    if not pictures:
        return "parquet"
    raise PoiseError(
        f"{shown(command.source)}: holds images ('{shown(pictures[0].path)}', …) and Parquet files "
        f"('{shown(parquet[0].path)}', …); prepare the images: `{command.using(format='images')}`, "
        f"or the Parquet files: `{command.using(format='parquet')}`"
    )


def _open_files(command: PrepareCommand) -> ImageSource:
    """Opens a Parquet file, or the files that match a glob."""
    text = command.source
    if is_file(text) and suffix(text) == ".parquet":
        return _open_parquet(command, [text])
    if is_file(text) and is_archive(text):
        raise PoiseError(advice(command, []))
    from poise.data.sources.parquet_files import glob_files

    if files := glob_files(text):
        return _open_parquet(command, files)
    if glob.has_magic(text):
        raise PoiseError(f"{shown(text)}: this pattern matches no Parquet file")
    raise PoiseError(f"{shown(text)}: {_why_no_source(text)}")


def _why_no_source(text: str) -> str:
    if is_remote(text):
        Location.of(text).read_bytes()  # raises an error that names what is missing
    try:
        Path(text).stat()
    except FileNotFoundError:
        return "no such file or folder (and not `scenes`, `scenes-video` or `torchvision:<Name>`)"
    except (OSError, ValueError) as error:
        return f"cannot be opened ({getattr(error, 'strerror', None) or error})"
    return "not a source; give a folder of images, Parquet files, torchvision:<Name> or scenes"


def _open_parquet(command: PrepareCommand, files: list[str]) -> ImageSource:
    from poise.data.sources.parquet import open_parquet  # imports pyarrow

    return open_parquet(command, [plain_path(file) for file in files])
