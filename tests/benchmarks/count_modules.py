"""How many modules of Poise a command passes through: those of which a function ran.

Run as ``python tests/benchmarks/count_modules.py -- report NAME``; what follows the dashes is a
command of ``poise``. Functions that run while a module is imported do not count. Of processes that
the command starts, nothing is counted.
"""

import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import poise

PACKAGE = str(Path(poise.__file__).parent)


def main(words: list[str]) -> int:
    """Runs the command, then prints the modules."""
    from poise.cli.main import run

    seen: set[str] = set()

    def look(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        ours = event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name[0] != "<"
        if ours and not _is_importing(frame):
            seen.add(code.co_filename.removeprefix(PACKAGE).lstrip("/"))

    threading.setprofile(look)
    sys.setprofile(look)
    status = run(words)
    sys.setprofile(None)
    print(*sorted(seen), sep="\n")
    print(f"{len(seen)} modules of {len(list(Path(PACKAGE).rglob('*.py')))}; status {status}")
    return status


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(PACKAGE):
            return True
        frame = frame.f_back
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :]))
