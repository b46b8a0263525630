"""The notebooks run, and each is the pair of its script.

A script and its notebook have the same cells. The script is what people change; `make notebooks`
writes the notebook, with the output of a run.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = REPOSITORY / "notebooks"
NAMES = ("study_a_collapse", "train_and_look", "use_a_registered_model")
MOST_BYTES = 600_000
"""Largest notebook: a page with a few small pictures."""

SMALLER = {
    "train_and_look": ("EPOCHS = 12", "EPOCHS = 4"),
    "use_a_registered_model": ("EPOCHS = (4, 12)", "EPOCHS = (2, 3)"),
}
"""The size at the top that a reader raises. The tests lower it."""

WITH_RAY = {"study_a_collapse"}
WITHOUT_RAY = {"train_and_look"}
NO_RAY = {"RAY_ADDRESS": "127.0.0.1:1"}
"""No cluster is there: whoever starts Ray fails. An evaluation joins any cluster that is named."""

MARKS = (
    (WITH_RAY, pytest.mark.ray),
    ({"study_a_collapse", "use_a_registered_model"}, pytest.mark.heavy),
)
RUNS = [
    pytest.param(name, marks=[mark for names, mark in MARKS if name in names]) for name in NAMES
]


def _cells(notebook: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]


def _notebook(name: str) -> Any:
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_every_notebook_is_known_here() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(NAMES)
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_the_cells_of_its_script(name: str) -> None:
    jupytext = pytest.importorskip("jupytext")
    script = jupytext.read(FOLDER / f"{name}.py")
    assert _cells(_notebook(name)) == _cells(script), "run: make notebooks"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_small_and_shows_no_error_and_no_place_on_a_machine(name: str) -> None:
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    outputs = [each for cell in _notebook(name).cells for each in cell.get("outputs", ())]
    assert any("image/png" in each.get("data", {}) for each in outputs)
    assert not [each for each in outputs if each.output_type == "error"]
    words = "\n".join(
        str(each.get("text", each.get("data", {}).get("text/plain"))) for each in outputs
    )
    assert not re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users)/\S*", words)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_script_runs_to_its_end(name: str, tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    size, smaller = SMALLER.get(name, ("", ""))
    assert size in text
    script = tmp_path / f"{name}.py"
    script.write_text(text.replace(size, smaller) if size else text, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={
            **os.environ,
            "MPLBACKEND": "agg",
            "OMP_NUM_THREADS": "1",
            "POISE_HOME": str(tmp_path / "runs"),
            **(NO_RAY if name in WITHOUT_RAY else {}),
        },
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, f"{run.stdout[-2000:]}\n{run.stderr[-4000:]}"
