"""Folders that `poise data prepare` refuses, and the commands that its errors name."""

import re
import shlex
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from tests.data.images import noise_jpeg, noise_mask


def write(root: Path, *paths: str) -> Path:
    """Writes one image, or a line of text, at each path."""
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        image = not path.endswith((".txt", ".md", ".csv", ".xml", "LICENSE"))
        data = noise_mask() if path.endswith("0.png") else noise_jpeg(number)
        (root / path).write_bytes(data if image else b"text")
    return root


def commands_in(message: str) -> list[list[str]]:
    """The `poise …` commands that an error names, without the program."""
    named = re.findall(r"`(poise [^`]*)`", message)
    return [shlex.split(command)[1:] for command in named]


def refusal(root: Path, options: PrepareOptions | None = None) -> str:
    with pytest.raises(PoiseError) as error:
        open_source(str(root), options, str(root.parent / "dataset"))
    assert "\n" not in str(error.value)
    return str(error.value)
