"""Where images come from: one word or path, opened as a ``Source``.

In: what a person typed after ``poise data prepare``. Out: a source whose samples can be counted,
and split into ``Part``s that are small, picklable and readable in any process. Next:
``poise.data.preparation.ingest``.
"""

from pathlib import Path

from poise.config.errors import PoiseError
from poise.data.sources import scene_drawing
from poise.data.sources.base import Source
from poise.data.sources.options import PrepareOptions
from poise.data.sources.scenes import DEFAULT_NUM_SCENES, ScenesSource


def open_source(text: str, options: PrepareOptions | None = None) -> Source:
    """Opens what a person named.

    Args:
        text: ``scenes``, ``torchvision:<Name>[/<split>]``, a Parquet file, a folder or a glob of
            Parquet files, or a folder of images with or without class folders.
        options: number, seed and side of the scenes; the caller cuts other sources to size.

    Raises:
        PoiseError: there is no such source, it holds no images, or an option does not apply.
    """
    options = options or PrepareOptions()
    if text == "scenes":
        px = scene_drawing.DEFAULT_PX if options.image_px is None else options.image_px
        return ScenesSource(options.num_images or DEFAULT_NUM_SCENES, options.seed, px)
    if options.image_px is not None:
        raise PoiseError(
            f"--image-px {options.image_px}: only `scenes` are drawn to a size; "
            f"'{text}' keeps its files as they are"
        )
    if text.startswith("torchvision:"):
        from poise.data.sources.torchvision import open_torchvision  # imports torch: seconds

        return open_torchvision(text)
    return _open_path(text)


def _open_path(text: str) -> Source:
    from poise.data.sources.files import open_folder
    from poise.data.sources.parquet import open_parquet, parquet_files

    files = parquet_files(text)
    if files:
        return open_parquet(text, files)
    path = Path(text)
    if path.is_dir():
        return open_folder(path)
    if path.exists():
        raise PoiseError(
            f"{text}: not a source; give a folder of images, Parquet files, "
            "torchvision:<Name> or scenes"
        )
    raise PoiseError(f"{text}: no such file or folder (and not `scenes` or `torchvision:<Name>`)")
