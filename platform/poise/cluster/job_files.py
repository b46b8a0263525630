"""Chooses the files that are sent with a job: code and settings, but no data and no secrets.

In: the folder in which the user typed a command. Out: a zip archive with the chosen files. Next:
``poise.cluster.job_entry``.

Only files of known kinds are sent. So a file of an unexpected kind stays on this machine. The text
of the chosen files is searched for secrets before anything is sent.
"""

import os
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from poise.cluster.secret_patterns import named_like_a_secret, secret_in
from poise.config.errors import PoiseError
from poise.config.paths import home

KINDS = frozenset(
    [".py", ".pyi", ".yaml", ".yml", ".toml", ".json", ".txt", ".csv", ".html", ".css", ".js"]
)
"""Suffixes of the files that may be sent to the cluster with a job."""

MOST_BYTES = 1_000_000
"""Largest size in bytes of a file that may be sent with a job. Larger files are regarded as data.
"""

MOST_FILES = 5_000
"""Largest number of files that may be sent with a job. A folder with more files is not a project of
code.
"""

_ANYWHERE = frozenset(["__pycache__", "mlruns", "mlartifacts", "node_modules", "site-packages"])
_AT_THE_TOP = frozenset(["runs", "data", "datasets", "venv", "build", "dist", "tests", "docs"])
_SAME_DATE = (1980, 1, 1, 0, 0, 0)  # so that the same content is the same archive, sent only once


@dataclass(frozen=True)
class ProjectFiles:
    """Files of a folder that are sent with a job."""

    folder: Path
    chosen: tuple[PurePath, ...]
    """Paths relative to the folder, sorted."""

    def write_archive(self, path: Path, also: dict[str, str]) -> None:
        """Writes the files to a zip archive. Equal files always make an equal archive.

        Args:
            path: archive to write.
            also: texts of additional files, by their path in the archive.
        """
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in sorted(also.items()):
                archive.writestr(_entry(name), text)
            for chosen in self.chosen:
                content = (self.folder / chosen).read_bytes()
                archive.writestr(_entry(chosen.as_posix()), content)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _SAME_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def project_files(folder: Path) -> ProjectFiles:
    """Chooses the files of a folder that are sent with a job.

    In a git checkout, files that git ignores are left out.

    Raises:
        PoiseError: a chosen file seems to contain a secret, or cannot be read; or there are too
            many files.
    """
    chosen = sorted(name for name in _listed(folder) if why_left_out(folder, name) is None)
    if len(chosen) > MOST_FILES:
        raise PoiseError(
            f"{folder}: has {len(chosen)} files of code and settings, more than a project has; "
            "change into the folder of your project first"
        )
    for name in chosen:
        _check_no_secret(folder, name)
    return ProjectFiles(folder, tuple(chosen))


def why_left_out(folder: Path, name: PurePath) -> str | None:
    """Returns the reason why a file of the folder is not sent with a job; None if it is sent."""
    path = folder / name
    if any(part.startswith(".") for part in name.parts):
        return "its name is hidden"
    if name.parts[0] in _AT_THE_TOP or _ANYWHERE.intersection(name.parts):
        return "its folder holds data, results or tests"
    if path.is_relative_to(home()):
        return "it is in POISE_HOME, which holds results"
    if path.suffix.lower() not in KINDS:
        return f"only files of code and settings are sent ({' '.join(sorted(KINDS))})"
    if named_like_a_secret(name):
        return "its name looks like that of a secret"
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        return "it is a link to another folder"
    if not name.as_posix().isprintable():
        return "its name is not plain text"
    if path.stat().st_size > MOST_BYTES:
        return f"it has more than {MOST_BYTES / 1e6:g} MB"
    return None


def _listed(folder: Path) -> Iterator[PurePath]:
    """Yields the paths of all files in the folder, relative to it.

    Does not follow links to folders.
    """
    listing = (
        subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=folder,
            capture_output=True,
        )
        if _has_git()
        else None
    )
    if listing is not None and listing.returncode == 0:
        names = [PurePath(os.fsdecode(name)) for name in listing.stdout.split(b"\0") if name]
        yield from (name for name in dict.fromkeys(names) if (folder / name).is_file())
        return
    for place, folders, files in os.walk(folder):
        at = PurePath(place).relative_to(folder)
        folders[:] = [name for name in folders if _may_hold_code(at, name)]
        yield from (at / name for name in files if (folder / at / name).is_file())


def _has_git() -> bool:
    try:
        return subprocess.run(["git", "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


def _may_hold_code(at: PurePath, name: str) -> bool:
    at_the_top = not at.parts and name in _AT_THE_TOP
    return not (name.startswith(".") or name in _ANYWHERE or at_the_top)


def _check_no_secret(folder: Path, name: PurePath) -> None:
    is_code = name.suffix in (".py", ".pyi", ".js")
    try:
        text = (folder / name).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise PoiseError(f"{folder / name}: cannot be read ({error.strerror})") from None
    if secret_in(text, is_code) is None:
        return
    for number, line in enumerate(text.splitlines(), 1):
        if kind := secret_in(line, is_code):
            raise PoiseError(
                f"{folder / name}:{number}: looks like {kind}, and a job's files can be read by "
                "everyone on the cluster; take it out, or name the file in .gitignore"
            )
    raise PoiseError(f"{folder / name}: looks like it contains a secret; take it out")
