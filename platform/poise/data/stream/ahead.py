"""Starts a stream before it is needed: its first item is fetched while the caller does other work.

In: an iterator that is slow to start. Out: the same items. Next: the training worker, which builds
its model and evaluates it in the meantime.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

ItemT = TypeVar("ItemT")

_END: Any = object()


class Started(Iterator[ItemT], Generic[ItemT]):
    """The items of a generator, the first of which a thread fetches at once.

    What the generator raises for its first item is raised when that item is asked for. Close it
    when it is no longer needed: closing waits for the thread, and ends what the generator started.
    """

    def __init__(self, items: Generator[ItemT]) -> None:
        """Starts the thread."""
        self._items = items
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="first-item")
        self._first: Future[ItemT] | None = executor.submit(next, items, _END)
        executor.shutdown(wait=False)

    def __next__(self) -> ItemT:
        if self._first is None:
            return next(self._items)
        first, self._first = self._first, None
        item = first.result()
        if item is _END:
            raise StopIteration
        return item

    def close(self) -> None:
        """Ends the generator."""
        if self._first is not None:
            wait([self._first])
        self._items.close()
