"""What the documentation promises to list, held against the code."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from poise.cli.main import app
from poise.config import Space, metrics
from poise.config.samplers import SAMPLERS
from poise.config.scheduling import SchedulerConfig, SearcherConfig
from poise.config.space import Budget
from poise.diagnostics.judge import Limits, VerdictKind
from poise.sweeps.population import MUTABLE

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
SPACES = sorted((REPOSITORY / "search_spaces").glob("*.yaml"))


def _read(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def _in_code(page: str) -> set[str]:
    """Everything between backticks on a page, outside its blocks of code."""
    prose = re.sub(r"^```.*?^```", "", _read(page), flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", prose))


def _metric_names() -> list[str]:
    groups = [value for name, value in vars(metrics).items() if name.isupper()]
    return [name for group in groups for name in group]


def test_every_metric_is_explained() -> None:
    names = _metric_names()
    assert names
    assert not set(names) - _in_code("docs/diagnostics.md")


def test_every_verdict_is_explained() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", _read("docs/diagnostics.md"), re.MULTILINE)
    assert not {str(kind) for kind in VerdictKind} - set(rows)


def test_the_limits_of_verdicts_are_those_that_judge() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.e-]+) \|", _read("docs/diagnostics.md"), re.MULTILINE)
    assert {name: float(value) for name, value in rows} == asdict(Limits())


def test_every_part_of_a_space_is_explained() -> None:
    choices: list[Any] = [SchedulerConfig, SearcherConfig]
    named = [name for each in choices for name in get_args(each.model_fields["name"].annotation)]
    budgets = [f"budget.{name}" for name in Budget.model_fields]
    wanted = {*Space.model_fields, *SAMPLERS, *MUTABLE, *named, *budgets}
    assert not wanted - _in_code("docs/studies.md")


def test_the_readme_says_what_every_shipped_space_asks() -> None:
    rows = re.findall(
        r"^\| \[[^]]+\]\(search_spaces/([^)]+)\) \|", _read("README.md"), re.MULTILINE
    )
    assert sorted(rows) == [path.name for path in SPACES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (page.parent / link).exists()]


def _commands(page: Path) -> Iterator[list[str]]:
    """What a person is told to type after ``poise``, in blocks of code."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["poise"]:
                yield words[1:]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists_with_its_options(page: Path) -> None:
    wrong = []
    for words in _commands(page):
        command: Any = typer.main.get_command(app)
        if words[0] == "submit" and "--" in words:
            words = words[: words.index("--")]
        for word in words:
            if word.startswith("--"):
                known = {name for each in command.params for name in (*each.opts, "--help")}
                known |= {name for each in command.params for name in each.secondary_opts}
                if word.partition("=")[0] not in known:
                    wrong.append(f"{' '.join(words)}: {word}")
            elif hasattr(command, "get_command"):
                command = command.get_command(None, word)
                if command is None:
                    wrong.append(f"{' '.join(words)}: {word}")
                    break
    assert not wrong, "\n".join(wrong)
