"""Lets only one process of this machine change the registry at a time.

In: nothing. Out: a block that no other process runs at the same time. Next:
``poise.tracking.registry.figures`` and ``poise.tracking.registry.promotion``, which read a tag,
change it and write it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from poise.config.files import locked
from poise.config.paths import home


@contextmanager
def changing_registry() -> Iterator[None]:
    """Holds the lock of the registry during the block. The block must not ask for it again."""
    home().mkdir(parents=True, exist_ok=True)
    with locked(home() / "registry.lock"):
        yield
