"""Explains how to unpack archives, because Poise does not read archives.

In: a command whose source is an archive, or a folder of archives. Out: advice with a command that
the user can run. Next: the user prepares the unpacked files.
"""

import shlex
from collections.abc import Sequence

from poise.data.sources.options import NO_LABELS, PrepareCommand
from poise.data.sources.safe_names import shown

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")


def is_archive(path: str) -> bool:
    """Returns True if the name has the suffix of an archive."""
    return path.casefold().endswith(SUFFIXES)


def advice(command: PrepareCommand, archives: Sequence[str]) -> str:
    """Returns advice about an archive, or about a folder that contains only archives.

    Args:
        command: command whose source is the archive or the folder.
        archives: paths of the archives in the folder; empty if the source is itself an archive.
    """
    source = command.source.rstrip("/")
    if not archives:
        return (
            f"{shown(source)}: an archive, which Poise does not read; unpack it first: "
            f"`{_unpacked(source, _stem(source))} && {command.of(_stem(source))}`"
        )
    if not all(path.casefold().endswith(".tar") for path in archives):
        one = f"{source}/{archives[0]}"
        return (
            f"{shown(source)}: holds archives alone, which Poise does not read; unpack each first: "
            f"`{_unpacked(one, f'{source}-files')}`, then: `{command.of(f'{source}-files')}`"
        )
    folder = f"{source}-files"
    loop = (
        f'for tar in {shlex.quote(source)}/*.tar; do d={shlex.quote(folder)}/$(basename "$tar" '
        '.tar); mkdir -p "$d" && tar -xf "$tar" -C "$d"; done'
    )
    plain = command.of(folder).using(label=NO_LABELS)
    return (
        f"{shown(source)}: holds tar files (WebDataset), which Poise does not read; unpack them "
        f"and prepare the images without labels: `{loop}; {plain}`; to keep the labels, move the "
        "images into one folder for each class"
    )


def _stem(path: str) -> str:
    for end in sorted(SUFFIXES, key=len, reverse=True):
        if path.casefold().endswith(end):
            return path[: -len(end)]
    return path


def _unpacked(archive: str, folder: str) -> str:
    where, what = shlex.quote(folder), shlex.quote(archive)
    if archive.casefold().endswith(".zip"):
        return f"python3 -m zipfile -e {what} {where}"
    return f"mkdir -p {where} && tar -xf {what} -C {where}"
