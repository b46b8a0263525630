"""Lets only one process at a time change figures and promotions of registered versions.

In: nothing. Out: a block that no other process with the same ``POISE_HOME`` runs at the same time.
Next: ``poise.tracking.registry.figures`` and ``poise.tracking.registry.promotion``, which read a
tag, change it and write it.

A process with another ``POISE_HOME`` has another lock, also if it uses the same store. Registering
a version and deleting unused models take no lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from poise.config.files import locked
from poise.config.paths import home


@contextmanager
def changing_registry() -> Iterator[None]:
    """Holds the lock of this ``POISE_HOME`` during the block.

    The block must not ask for the lock again.
    """
    home().mkdir(parents=True, exist_ok=True)
    with locked(home() / "registry.lock"):
        yield
