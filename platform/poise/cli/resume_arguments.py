"""What `--resume` and `--extend` go on with, written alike for a run and for a study.

    poise VERB --resume NAME                    the one of that name, as it began
    poise VERB FILE [KEY=VALUE]... --resume     the latest unfinished one of this file; with
                                                --name that one

In: what was typed beside the option. Out: a ``Wanted``. Next: the verb, which looks for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from poise.config.errors import PoiseError


@dataclass(frozen=True)
class Wanted:
    """What is to be finished: of a name, of a file, or both."""

    name: str | None
    file: str | None
    overrides: tuple[str, ...] = ()


def read_words(
    words: Sequence[str], name: str | None, kind: str, option: str = "--resume"
) -> Wanted:
    """Tells names, files and settings apart.

    Args:
        words: beside the option, in any order.
        name: given as `--name`.
        kind: what is gone on with, `run` or `study`, for messages.
        option: which one it is, for messages.

    Raises:
        PoiseError: nothing is named, or too much is.
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
