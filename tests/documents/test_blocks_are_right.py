"""Every block on the pages is right as far as one can see without running it.

`make test-docs` runs them: ``test_pages_run.py``.
"""

import ast
import importlib
import importlib.util
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from poise.cli.main import run as poise
from poise.config import Recipe, Space
from poise.config.keys import check_key
from tests.documents.blocks import (
    PROGRAMS,
    REPOSITORY,
    Block,
    blocks,
    inline_commands,
    logical_lines,
    pages,
    read,
    simple_commands,
)
from tests.documents.command_lines import unknown_words, what_is_wrong
from tests.documents.reading import NOT_RUN
from tests.documents.reading import PAGES as READINGS
from tests.documents.smaller import LARGEST

PAGES = pages()
ALL = [block for page in PAGES for block in blocks(page)]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


def _all(language: str) -> list[Block]:
    return [block for block in ALL if block.language == language]


def test_the_pages_have_blocks_of_every_kind() -> None:
    kinds = {block.language for block in ALL}
    assert kinds >= {"shell", "python", "yaml", "text"}
    assert len(_all("shell")) > 50


def test_a_block_of_commands_calls_known_programs_and_output_calls_none() -> None:
    wrong = []
    for block in (block for block in ALL if block.language in ("shell", "text")):
        lines = [line for line in logical_lines(block.text) if block.language == "text" or line]
        for words in (words for line in lines for words in simple_commands(line)):
            is_command = Path(words[0]).name in PROGRAMS and len(words) > 1
            if is_command != (block.language == "shell") and not _is_printed(block):
                wrong.append(f"{block.place}: {shlex.join(words)}")
    assert not wrong, "\n".join(wrong)


def _is_printed(block: Block) -> bool:
    """Returns True for a command behind a prompt, with what it prints."""
    return block.text.startswith("$ ")


def test_a_shell_can_read_every_block_of_commands() -> None:
    for block in _all("shell"):
        code = "\n".join(line.removeprefix("$ ") for line in logical_lines(block.text))
        done = subprocess.run(["bash", "-n"], input=code, text=True, capture_output=True)
        assert _is_printed(block) or done.returncode == 0, f"{block.place}: {done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_one_that_its_program_takes(page: str) -> None:
    wrong = []
    for block in (block for block in blocks(page) if block.language == "shell"):
        lines = [] if _is_printed(block) else logical_lines(block.text)
        for words in (words for line in lines for words in simple_commands(line)):
            mistake = what_is_wrong(words)
            wrong += [f"{block.place}: {shlex.join(words)}: {mistake}"] if mistake else []
    for code in inline_commands(page):
        mistake = unknown_words(code.split()[1:])
        wrong += [f"{page}: `{code}`: {mistake}"] if mistake else []
    assert not wrong, "\n".join(wrong)


PRESENT = [block for block in _all("python") if block.page != "docs/contribute.md"]
"""Blocks of Python whose imports exist. The example of contribute.md adds what it imports, and
tests/test_contribute_page.py runs it."""


@pytest.mark.parametrize("block", PRESENT, ids=lambda block: block.place)
def test_every_python_block_compiles_and_finds_what_it_imports(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text, block.place)):
        if isinstance(node, ast.Import):
            assert all(importlib.util.find_spec(each.name) for each in node.names), block.place
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, each.name) for each in node.names), block.place


def test_every_yaml_block_is_a_recipe_or_a_space_or_a_part_of_the_one_above() -> None:
    above: dict[str, dict[str, Any]] = {}
    for block in _all("yaml"):
        tree = yaml.safe_load(block.text)
        if not {"objective", "parameters"} & set(tree):
            tree = above[block.page] | tree
        above[block.page] = tree
        model = Recipe if "objective" in tree else Space
        model.model_validate(tree)
        if model is Space:
            named = tree["recipe"]
            assert any(Path(base, named).exists() for base in (".", "search_spaces")), block.place


@pytest.mark.parametrize(
    "block", [block for block in _all("shell") if _is_printed(block)], ids=lambda block: block.place
)
def test_what_a_block_shows_behind_a_prompt_is_what_is_printed(
    block: Block, capsys: pytest.CaptureFixture[str]
) -> None:
    (command, *printed) = logical_lines(block.text)
    poise(shlex.split(command.removeprefix("$ poise ")))
    captured = capsys.readouterr()
    assert (captured.out + captured.err).splitlines() == printed


def test_every_page_with_commands_runs_or_says_why_it_does_not() -> None:
    written = {block.page for block in ALL if block.language in ("shell", "python")}
    assert written == {*READINGS, *NOT_RUN}
    assert not {*READINGS} & {*NOT_RUN}


@pytest.mark.parametrize("page", READINGS)
def test_what_is_replaced_or_left_out_is_on_the_page(page: str) -> None:
    text = read(page).replace("\\\n", " ")
    reading = READINGS[page]
    assert not [word for word in (*reading.replaced, *reading.not_run) if word not in text]


def test_every_size_that_is_lowered_is_a_setting() -> None:
    for key in LARGEST:
        check_key(key, "smaller.py", ("dino", "mae"))


def test_no_two_pages_prepare_different_datasets_in_one_folder() -> None:
    # `poise data prepare` refuses a folder that holds a dataset of another kind.
    made: dict[str, set[str]] = {}
    for block in _all("shell"):
        lines = logical_lines(block.text)
        for words in (words for line in lines for words in simple_commands(line)):
            if words[:3] == ["poise", "data", "prepare"]:
                made.setdefault(words[4], set()).add(shlex.join([words[3], *words[5:]]))
    assert made
    assert not {folder: ways for folder, ways in made.items() if len(ways) > 1}
