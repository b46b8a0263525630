"""Reads the names of the images to take from a text file, as in Pascal VOC's `ImageSets`.

In: the images of a folder, and the text file. Out: the images that the file names. Next:
``poise.data.sources.annotated.opening``.

A line names one image by its path or file name, with or without a suffix. A line may also name a
folder; then all images below the folder are taken. The path may begin with folders above the folder
of the images. A second path on the line is ignored: DAVIS 2016 writes each frame's mask there.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from poise.config.errors import PoiseError
from poise.data.sources.files import suffix
from poise.data.sources.safe_names import shown


def listed_places(file: str, images: Sequence[str]) -> list[int]:
    """Returns the indices of the images that a text file names, in ascending order.

    Args:
        file: text file to read.
        images: paths relative to their folder, with forward slashes.

    Raises:
        PoiseError: the file cannot be read or is empty, a line names no image, or a line may name
            several images in different folders.
    """
    lines = read_lines(file, "--list")
    by_name = _names(images)
    chosen: set[int] = set()
    for line in lines:
        chosen.update(_named(file, line, by_name, images))
    return sorted(chosen)


def read_lines(file: str, option: str) -> list[str]:
    """Returns the lines of a text file, without empty lines.

    Raises:
        PoiseError: the file cannot be read, or contains only empty lines.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PoiseError(
            f"{option} {shown(file)}: cannot be read ({error.strerror or error})"
        ) from None
    except UnicodeDecodeError:
        raise PoiseError(f"{option} {shown(file)}: not a text file in UTF-8") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise PoiseError(f"{option} {shown(file)}: empty; write one name a line")
    return lines


def _names(images: Sequence[str]) -> dict[str, list[int]]:
    """Maps each name that a line of the list may contain to the indices of the images it names."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for place, path in enumerate(images):
        name = path.rpartition("/")[2]
        end = len(suffix(path))
        for each in {path, path[: len(path) - end], name, name[: len(name) - end]}:
            by_name[each].append(place)
        for folder in Path(path).parents:
            by_name[f"{folder.as_posix()}/"].append(place)
    return by_name


def _named(file: str, line: str, by_name: dict[str, list[int]], images: Sequence[str]) -> list[int]:
    first, _, second = line.partition(" ")
    texts = [line, first] if second.strip().startswith("/") else [line]
    for parts in (
        text.replace("\\", "/").removeprefix("./").strip("/").split("/") for text in texts
    ):
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            places = by_name.get(name, [])
            if start and start == len(parts) - 1:  # only a name: its folder must agree
                places = [
                    place
                    for place in places
                    if images[place].split("/")[-2:-1] in ([], [parts[-2]])
                ]
            if len(places) > 1:
                raise PoiseError(
                    f"--list {shown(file)}: '{shown(line)}' may be '{shown(images[places[0]])}' or "
                    f"'{shown(images[places[1]])}'; write its path"
                )
            if places or f"{name}/" in by_name:
                return places or by_name[f"{name}/"]
    raise PoiseError(
        f"--list {shown(file)}: '{shown(line)}' is no image of the folder (there is "
        f"'{shown(images[0])}'); correct the line"
    )
