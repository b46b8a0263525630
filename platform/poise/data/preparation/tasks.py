"""Runs one task for each shard, in this process or on Ray.

In: a function and its arguments for each shard. Out: shard numbers with results, in the order in
which tasks end. Next: ``poise.data.preparation.ingest`` collects them.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from poise.config.errors import PoiseError

ResultT = TypeVar("ResultT")

SERIAL_SHARDS = 10
"""Largest number of shards that this process writes alone. For so few shards, starting Ray (4 to 9
s) would take longer.
"""


def carry_out(
    task: Callable[..., ResultT], arguments: Mapping[int, tuple[Any, ...]], parallel: bool | None
) -> Iterator[tuple[int, ResultT]]:
    """Yields the number and the result of each shard's task, in the order in which tasks end.

    Args:
        task: function that Ray can send to another process.
        arguments: arguments of the function, by shard number.
        parallel: whether to use Ray; None decides by the number of shards.

    Raises:
        PoiseError: a task raised this error, or a Ray worker died.
    """
    on_ray = len(arguments) > SERIAL_SHARDS if parallel is None else parallel
    return (_on_ray if on_ray else _in_process)(task, arguments)


def _in_process(
    task: Callable[..., ResultT], arguments: Mapping[int, tuple[Any, ...]]
) -> Iterator[tuple[int, ResultT]]:
    for number, each in arguments.items():
        yield number, task(*each)


def _on_ray(
    task: Callable[..., ResultT], arguments: Mapping[int, tuple[Any, ...]]
) -> Iterator[tuple[int, ResultT]]:
    """Runs one Ray task for each shard.

    At most two tasks per CPU are submitted at the same time.
    """
    import ray  # the import takes half a second, which small datasets save

    from poise.cluster.connection import start_ray

    if not arguments:
        return
    start_ray()
    remote = ray.remote(num_cpus=1)(task)
    limit = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting = iter(arguments.items())
    running: dict[Any, int] = {}  # object reference → shard
    while True:
        for number, each in islice(waiting, limit - len(running)):
            running[remote.remote(*each)] = number
        if not running:
            return
        (ended,), _ = ray.wait(list(running), num_returns=1)
        number = running.pop(ended)
        try:
            yield number, ray.get(ended)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            raise PoiseError(
                f"shard {number}: its Ray worker died ({type(error).__name__}), perhaps because "
                "memory ran out; run the same command again to continue from here"
            ) from None
