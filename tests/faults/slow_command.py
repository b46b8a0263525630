"""A `poise` command whose training is slow and writes each step down.

``python -m tests.faults.slow_command FILE HANGS_AT WORD …``: FILE receives the steps, and HANGS_AT
is the step whose batch never comes, or 0.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from poise.cli.main import main
from poise.training import worker
from tests.faults.witness import witnessed

if __name__ == "__main__":
    file, hangs_at, *words = sys.argv[1:]
    patched: Any = worker
    patched._train = partial(witnessed, Path(file), int(hangs_at))
    sys.argv = ["poise", *words]
    main()
