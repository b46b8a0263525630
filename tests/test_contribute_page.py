"""The example of `docs/contribute.md` works as it is written, and the page names files that exist.

The changes of the example are applied to a copy of the checkout, where the tests then run.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "contribute.md"
NEEDED = ("platform", "pipelines", "search_spaces", "tests", "docs", "pyproject.toml", "README.md")
TESTS = (
    "tests/diagnostics/test_largest_share.py",
    "tests/diagnostics/test_docstrings.py",
    "tests/diagnostics/test_metric_names.py",
    "tests/diagnostics/test_observe.py",
    "tests/test_documentation.py::test_every_metric_is_explained",
)
"""Those of the example's `pytest` that a new diagnostic can break."""


def _example() -> str:
    return PAGE.read_text(encoding="utf-8").partition("## Example")[2]


def _write_blocks_of_python(copy: Path) -> None:
    """Writes each block to the file that the sentence before it names."""
    sentences = re.findall(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", _example(), re.DOTALL)
    assert len(sentences) == 2
    for name, block in sentences:
        path = copy / (name if name.startswith("tests/") else f"platform/poise/{name}")
        before = path.read_text(encoding="utf-8") + "\n\n" if path.exists() else ""
        path.write_text(before + block, encoding="utf-8")


def _apply_changes(copy: Path) -> None:
    changes = re.findall(r"```diff\n(.*?)```", _example(), re.DOTALL)
    assert len(changes) == 3
    subprocess.run(
        ["git", "apply"],
        input="".join(changes),
        cwd=copy,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)},
        text=True,
        check=True,
    )


@pytest.mark.slow
def test_the_example_of_a_diagnostic_passes_the_tests_that_it_names(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git applies the changes, and is not installed")
    for name in NEEDED:
        source, target = REPOSITORY / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
        else:
            shutil.copy(source, target)
    _write_blocks_of_python(tmp_path)
    _apply_changes(tmp_path)
    tried = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not slow", *TESTS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "platform")},
        capture_output=True,
        text=True,
    )
    assert tried.returncode == 0, tried.stdout[-3000:]


def test_every_file_that_the_page_names_exists() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text))
    names -= set(re.findall(r"a new file,\n?\s*`([^`]+)`", text))
    assert len(names) > 40
    missing = [
        name
        for name in sorted(names)
        if not any((root / name).exists() for root in (REPOSITORY, REPOSITORY / "platform/poise"))
    ]
    assert not missing
