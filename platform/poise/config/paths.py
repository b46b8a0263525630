"""Where runs are kept."""

import os
from pathlib import Path


def home() -> Path:
    """The folder of runs, checkpoints and the default MLflow store.

    ``POISE_HOME``, else ``runs`` in the current folder. Always absolute: workers have other
    current folders. On several machines it must be storage that all of them reach.
    """
    return Path(os.environ.get("POISE_HOME") or "runs").absolute()
