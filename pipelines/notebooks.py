"""Writes the notebooks from their scripts, with the output of a run: ``make notebooks``.

In: ``notebooks/*.py``, in jupytext's percent format. Out: ``notebooks/*.ipynb`` with small
pictures, and the picture of each cell with the tag ``cover``, for the documentation.
"""

import base64
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image
from traitlets.config import Config

from poise.cli.main import exit_status
from poise.config.paths import home

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPOSITORY / "notebooks"
PICTURES = REPOSITORY / "docs" / "results"

_IN_FOLDER = {"metadata": {"path": str(NOTEBOOKS)}}
_STARTUP_S = 600  # a kernel imports its libraries, which takes long on a busy machine
_COLORS = 256  # enough for curves and small images, in a third of the bytes
_TIMES = re.compile(r"\d\d:\d\d:\d\d ")
_SPEED = re.compile(r"  (?:speed|data wait|left) [^ ]+(?: images/s)?")


def main() -> None:
    """Runs the notebooks whose names are given, or all of them."""
    chosen = [NOTEBOOKS / f"{name}.py" for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.py"))
    for script in chosen:
        notebook = executed(script)
        nbformat.write(notebook, script.with_suffix(".ipynb"))
        for number, picture in enumerate(covers(notebook)):
            ending = f"-{number + 1}" if number else ""
            (PICTURES / f"notebook-{script.stem}{ending}.png").write_bytes(picture)
        print(f"{script.with_suffix('.ipynb').relative_to(REPOSITORY)}: written")


def executed(script: Path) -> Any:
    """Runs a script as a notebook, and returns the notebook with tidy output."""
    notebook = jupytext.read(script)
    with tempfile.TemporaryDirectory() as folder:
        # A port would be open to all users of the machine.
        sockets = {"transport": "ipc", "ip": f"{folder}/kernel"}
        config = Config(ConnectionFileMixin=sockets)
        client = NotebookClient(notebook, timeout=None, config=config, resources=_IN_FOLDER)
        client.startup_timeout = _STARTUP_S
        client.execute()
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{number:02}"  # else random, so that every run would change the file
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
            cell.outputs = list(_tidied(cell.outputs))
    notebook.metadata.pop("language_info", None)
    return notebook


def covers(notebook: Any) -> Iterator[bytes]:
    """Yields the pictures of the cells with the tag ``cover``, as PNG."""
    for cell in notebook.cells:
        if "cover" in cell.metadata.get("tags", ()):
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    yield base64.b64decode(output.data["image/png"])


def _tidied(outputs: list[Any]) -> Iterator[Any]:
    """Joins what a cell printed, and leaves out notices and what is different in every run."""
    printed = [each for each in outputs if each.get("name") == "stdout"]
    if printed:
        printed[0].text = _without_places("".join(each.text for each in printed))
        yield printed[0]
    for output in outputs:
        if output.output_type == "stream" or "text/html" in output.get("data", {}):
            continue  # notices on stderr, and lines of progress
        if "image/png" in output.get("data", {}):
            output.data = {"image/png": _smaller(output.data["image/png"])}
        elif "text/plain" in output.get("data", {}):
            output.data["text/plain"] = _without_places(output.data["text/plain"])
        yield output


def _without_places(text: str) -> str:
    """Removes times, speeds and the folders of this machine from a text."""
    for folder, name in ((str(home()), "runs"), (f"{REPOSITORY}{os.sep}", "")):
        text = text.replace(folder, name)
    return _SPEED.sub("", _TIMES.sub("", text))


def _smaller(encoded: str) -> str:
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    written = io.BytesIO()
    picture.quantize(_COLORS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode("ascii")


if __name__ == "__main__":
    sys.exit(exit_status(main))
