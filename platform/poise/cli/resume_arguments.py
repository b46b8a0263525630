"""Arguments of `--resume` and `--extend`, which runs and studies share.

    poise VERB --resume NAME                    the run or study with this name
    poise VERB FILE [KEY=VALUE]... --resume     the latest unfinished run or study of this file or,
                                                with --name, the one with that name

In: the words after the command. Out: a ``Wanted``. Next: the command, which finds the run or study.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from poise.config.errors import PoiseError


@dataclass(frozen=True)
class Wanted:
    """Run or study to continue: its name, its file, or both."""

    name: str | None
    file: str | None
    overrides: tuple[str, ...] = ()


def read_words(
    words: Sequence[str], name: str | None, kind: str, option: str = "--resume"
) -> Wanted:
    """Sorts the words of a command into a name, a file and settings.

    Args:
        words: words of the command line, in any order.
        name: value of `--name`.
        kind: `run` or `study`, for the error message.
        option: name of the option, for the error message.

    Raises:
        PoiseError: there is neither a name nor a file, or there are several names or several files.
    """
    overrides = tuple(word for word in words if "=" in word)
    files = [word for word in words if word.endswith((".yaml", ".yml")) and "=" not in word]
    names = [word for word in words if word not in (*overrides, *files)]
    names += [name] if name is not None else []
    if len(files) > 1 or len(names) > 1:
        several = " and ".join(files if len(files) > 1 else names)
        raise PoiseError(f"{option}: one {kind} at a time, not {several}")
    wanted = Wanted(names[0] if names else None, files[0] if files else None, overrides)
    if wanted.file is None and wanted.name is None:
        aim = "extend" if option == "--extend" else "finish"
        raise PoiseError(f"{option}: name the {kind} to {aim}, or the file that it began with")
    return wanted
