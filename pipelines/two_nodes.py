"""Records how a study survives the loss of a node: ``docs/cluster/two-nodes.md``.

Starts two nodes on this machine, on loopback, in a new folder. Submits the demo's study, waits
until a trial trains on the second node, kills that node with SIGKILL, and follows the job to its
end.

    python -m pipelines.two_nodes docs/cluster/two-nodes.md
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.ray_nodes import (
    BIN,
    HOST,
    end_node,
    free_port,
    head_options,
    node_environment,
    start_node,
)

OBJECT_STORE_BYTES = 200_000_000
SETTINGS = ["training.epochs=4", "training.checkpoint_every_steps=16"]
WIDTH = 110
Environment = Mapping[str, str]


def main(page: str) -> None:
    """Runs the session and writes its page."""
    with tempfile.TemporaryDirectory(prefix="poise-", dir="/tmp") as scratch:
        folder = Path(scratch)
        environment = node_environment(folder, folder) | {"PYTHONUNBUFFERED": "1"}
        for name, images, seed in (("train", 2048, 0), ("test", 500, 1)):
            _run(environment, "data", "prepare", "scenes", str(folder / name),
                 "--num-images", str(images), "--seed", str(seed))  # fmt: skip
        with _cluster(environment, folder) as (address, second):
            lines = list(_session(environment | {"RAY_ADDRESS": address}, folder, second))
    text = "\n".join(each for line in lines for each in _plain(line, folder))
    Path(page).write_text(PAGE.format(log=text), encoding="utf-8")


def _session(
    environment: Environment, folder: Path, second: subprocess.Popen[bytes]
) -> Iterator[str]:
    """Submits the study, kills the second node once it trains, and yields what is printed."""
    words = [
        "submit", "--", "sweep", "search_spaces/demo.yaml", *SETTINGS,
        f"data.dataset={folder / 'train'}", f"evaluation.queries={folder / 'test'}",
    ]  # fmt: skip
    yield f"$ poise {' '.join(words)}"
    job = subprocess.Popen(
        _command(*words), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert job.stdout is not None
    killed = False
    for line in job.stdout:
        print(line, end="", flush=True)
        yield line.rstrip()
        if not killed and re.search(r"t02-s0  step 64/", line):
            yield "$ kill -9 NODE-2    # the second node, with all its processes"
            os.killpg(second.pid, signal.SIGKILL)
            killed = True
    yield f"(exit status {job.wait()})"
    yield "$ poise jobs list"
    yield from _run(environment, "jobs", "list").splitlines()


@contextmanager
def _cluster(
    environment: Environment, folder: Path
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Starts both nodes. Yields the dashboard's address and the second node."""
    memory = {"object-store-memory": OBJECT_STORE_BYTES}
    dashboard = free_port()
    options = head_options(dashboard)
    head = start_node(environment, folder / "head.log", {**options, **memory})
    try:
        _wait_for(dashboard)
        joins = {"address": f"{HOST}:{options['port']}"}
        second = start_node(environment, folder / "second.log", {**joins, **memory})
        time.sleep(10)
        try:
            yield f"http://{HOST}:{dashboard}", second
        finally:
            end_node(second)
    finally:
        end_node(head)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "poise.cli.main", *words]


def _run(environment: Environment, *words: str) -> str:
    return subprocess.run(
        _command(*words), env=dict(environment), check=True, capture_output=True, text=True
    ).stdout


def _wait_for(port: int) -> None:
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.5)


def _plain(line: str, folder: Path) -> list[str]:
    """Removes colours and this machine's folders, and breaks long lines."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    line = line.replace(str(folder), "/shared").replace(str(BIN.parent), ".venv")
    return textwrap.wrap(line, WIDTH, subsequent_indent="    ") or [""]


PAGE = """\
# A node is killed in the middle of a study

`python -m pipelines.two_nodes docs/cluster/two-nodes.md` recorded this session. Both nodes ran on
one machine, with one CPU each. The demo's study was submitted, in a shorter form. While one trial
trained on each node, the second node was killed. Ray needed some seconds to notice it. Then the
trial of that node continued on the first node, from its newest checkpoint.

```log
{log}
```
"""

if __name__ == "__main__":
    main(sys.argv[1])
