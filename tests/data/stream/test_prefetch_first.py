import threading
from collections.abc import Generator

import pytest

from poise.config import PoiseError
from poise.data.stream.prefetch_first import Started


def test_the_first_item_is_fetched_before_anybody_asks() -> None:
    fetched = threading.Event()

    def items() -> Generator[int]:
        fetched.set()
        yield from (1, 2, 3)

    started = Started(items())
    assert fetched.wait()
    assert list(started) == [1, 2, 3]
    assert list(Started(item for item in range(0))) == []


def test_what_goes_wrong_at_the_first_item_is_raised_when_it_is_asked_for() -> None:
    def items() -> Generator[int]:
        raise PoiseError("the image is damaged")
        yield 1

    started = Started(items())
    with pytest.raises(PoiseError, match="the image is damaged"):
        next(started)


@pytest.mark.parametrize("num_taken", [0, 1])
def test_closing_ends_what_the_generator_began(num_taken: int) -> None:
    ended = []

    def items() -> Generator[int]:
        try:
            yield from (1, 2, 3)
        finally:
            ended.append(True)

    started = Started(items())
    for _ in range(num_taken):
        next(started)
    started.close()
    assert ended == [True]
