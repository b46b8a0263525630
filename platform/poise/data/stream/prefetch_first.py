"""Starts a stream before it is needed, by a thread that fetches the first item.

In: an iterator that starts slowly. Out: the same items. Next: the training worker, which builds and
evaluates its model while the thread works.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

ItemT = TypeVar("ItemT")

_END: Any = object()


class Started(Iterator[ItemT], Generic[ItemT]):
    """Iterator over a generator whose first item a thread fetches at once.

    If the generator raises an error for its first item, ``next`` raises this error. Call ``close``
    when no more items are needed. ``close`` waits for the thread and ends everything that the
    generator started.
    """

    def __init__(self, items: Generator[ItemT]) -> None:
        """Starts the thread that fetches the first item of the generator."""
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
        """Closes the generator, after the thread has ended."""
        if self._first is not None:
            wait([self._first])
        self._items.close()
