"""Pages run from top to bottom, as a reader would run them: `make test-docs`.

Each page has a fresh folder, which is its home too, with the files of the repository. So
its runs, data and models are its own. The page's commands run in one shell, with real Ray and
MLflow. Three tables say what differs from the page: ``reading.py`` (placeholders, what is made
first, what is left out and why), ``given.py`` (what a reader brings) and ``smaller.py`` (sizes).
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.documents.blocks import REPOSITORY
from tests.documents.page_script import script
from tests.documents.reading import PAGES

_LINKED = "README.md docs Makefile pyproject.toml platform tests cluster.yaml"
_COPIED = "pipelines search_spaces"  # `poise submit` sends no links
_OWN = ("POISE_HOME", "POISE_STORAGE", "MLFLOW_TRACKING_URI", "RAY_ADDRESS")
_SHOWN = 6000  # characters of the output, in a failure


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A reader's checkout, without data and runs."""
    for name in _LINKED.split():
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for name in _COPIED.split():
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("poise", "-m tests.documents.smaller"), ("python", "")):
        path = programs / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        path.chmod(0o755)
    yield tmp_path
    shutil.rmtree(tmp_path)  # checkpoints of ViT-S are large


def _surroundings(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    programs = [str(folder / "bin"), str(Path(sys.executable).parent), kept["PATH"]]
    return kept | {
        "HOME": str(folder),
        "PATH": os.pathsep.join(programs),
        "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY / "platform", REPOSITORY))),
        "BROWSER": "true",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.mark.heavy
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_from_top_to_bottom(page: str, folder: Path) -> None:
    code, printed = folder / "page.sh", folder / "printed.txt"
    code.write_text(script(page, PAGES[page]), encoding="utf-8")
    with printed.open("w") as file:
        shell = subprocess.Popen(
            ["bash", str(code)],
            cwd=folder,
            env=_surroundings(folder),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = shell.wait()
        finally:
            with suppress(ProcessLookupError):  # what a page left running
                os.killpg(shell.pid, signal.SIGTERM)
    shown = printed.read_text(encoding="utf-8", errors="replace")
    print(shown)
    assert status == 0, shown[-_SHOWN:]
