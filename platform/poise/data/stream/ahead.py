"""Starts a stream before it is needed: a thread fetches its first item in advance.

In: an iterator that starts slowly. Out: the same items. Next: the training worker, which builds its
model and evaluates it in the meantime.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

ItemT = TypeVar("ItemT")

_END: Any = object()


class Started(Iterator[ItemT], Generic[ItemT]):
    """Items of a generator. A thread fetches the first item at once.

    If the generator raises an error for its first item, the error is raised when this item is
    requested. Call ``close`` when the items are not needed any more. It waits for the thread and
    ends everything that the generator started.
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
