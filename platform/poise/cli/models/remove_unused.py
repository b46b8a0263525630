"""`poise models gc`: deletes stored models that no registered version uses.

In: a confirmation by the user. Out: free disk space. Next: nothing.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.console import print_table
from poise.cli.output import Output, prints
from poise.cli.streams import note, say, tells_progress
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poise.tracking.registry.unused import Unused
    from poise.tracking.store import Store


@prints
def gc_command(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be deleted.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without a question.")] = False,
) -> Output:
    """Delete stored models that no version, alias or study refers to.

    The command lists these models with their sizes, and asks before it deletes anything. Runs,
    studies and checkpoints are kept. With --quiet, the command prints only the names of the models.
    In a script, nothing is deleted without --yes. The exit status is 2 if a model could not be
    deleted.

    Example: poise models gc --dry-run

    Example: poise models gc --yes
    """
    from poise.tracking.registry.unused import find_unused
    from poise.tracking.store import open_store

    store = open_store()
    unused = find_unused(store)
    if unused:
        _print(unused)  # before the question
    else:
        print("every stored model belongs to a registered version")
    if dry_run or not unused or not _agreed(len(unused), yes):
        return _output(unused)
    still = find_unused(store)  # a version may have been registered since
    deleted, errors = _delete(store, [each for each in unused if each in still])
    freed = [each for each in deleted if each.folder is not None]
    note(f"deleted {len(deleted)}, {_size(freed)}")
    if len(freed) < len(deleted):
        note(f"the files of {len(deleted) - len(freed)} stay in the storage of MLflow's server")
    failure = PoiseError(f"{len(errors)} not deleted: {'; '.join(errors)}") if errors else None
    return replace(_output(deleted), failure=failure)


def _output(unused: Sequence[Unused]) -> Output:
    return Output(
        document=lambda: [asdict(each) for each in unused],
        result=[each.name for each in unused],
    )


def _delete(store: Store, unused: Sequence[Unused]) -> tuple[list[Unused], list[str]]:
    """Deletes what can be deleted. Returns it, and an error for everything else."""
    from poise.tracking.registry.unused import delete

    deleted, errors = [], []
    for each in unused:
        try:
            delete(store, each)
            deleted.append(each)
        except PoiseError as error:
            errors.append(str(error))
    return deleted, errors


def _agreed(count: int, yes: bool) -> bool:
    """Returns True if the user agrees. Without a terminal, or with --quiet, only --yes agrees."""
    if yes:
        return True
    if not sys.stdin.isatty() or not tells_progress():
        say("nothing was deleted; --yes deletes without a question")
        return False
    return typer.confirm(f"delete these {count}?", default=False, err=True)


def _print(unused: Sequence[Unused]) -> None:
    rows = [
        (each.what, each.name, "-" if each.bytes is None else _mib(each.bytes), each.place)
        for each in unused
    ]
    print_table(("kind", "name", "size", "place"), rows)
    print(f"\n{len(unused)} in total, {_size(unused)}")


def _size(unused: Sequence[Unused]) -> str:
    return _mib(sum(each.bytes or 0 for each in unused))


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
