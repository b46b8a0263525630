"""Blocks of code on the pages: what a reader copies.

In: README.md, CONTRIBUTING.md and every page below docs/, without the decisions. Out: a ``Block``
for each fence, and the commands of a block. Next: ``test_blocks_are_right.py`` reads every block,
and ``test_pages_run.py`` runs the pages.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_OTHERS = (
    "cd",
    "chmod",
    "curl",
    "export",
    "git",
    "jupyter",
    "kubectl",
    "pip",
    "pre-commit",
    "sbatch",
    "source",
    "sudo",
)
PROGRAMS = frozenset({*_OTHERS, "make", "mlflow", "poise", "python", "ray"})
"""Programs that a block of commands may call. A block without a language begins with one of them,
or it is output."""

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"\w+=")
_ASSIGNED_OUTPUT = re.compile(r"^\w+=\$\((.*)\)$")


@dataclass(frozen=True)
class Block:
    """One fence of a page."""

    page: str
    line: int
    language: str
    """`shell`, `python`, `yaml`, or the written language; `text` for output."""

    text: str

    @property
    def place(self) -> str:
        """Returns where the block begins, as editors understand it."""
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Returns the pages whose blocks are tested, as paths in the repository."""
    found = sorted((REPOSITORY / "docs").rglob("*.md"))
    names = [path.relative_to(REPOSITORY).as_posix() for path in found]
    kept = [name for name in names if not name.startswith("docs/decisions/")]
    return ["README.md", "CONTRIBUTING.md", *kept]


def read(page: str) -> str:
    """Returns the text of a page."""
    return (REPOSITORY / page).read_text(encoding="utf-8")


def blocks(page: str) -> Iterator[Block]:
    """Finds the fences of a page, from top to bottom."""
    text = read(page)
    for found in _FENCE.finditer(text):
        indent, language, code = found.groups()
        code = "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))
        line = text.count("\n", 0, found.start(3)) + 1
        yield Block(page, line, language or _language(code), code)


def _language(code: str) -> str:
    first = next((words for line in logical_lines(code) for words in simple_commands(line)), [])
    return "shell" if first[:1] and first[0] in PROGRAMS else "text"


def logical_lines(code: str) -> list[str]:
    """Returns the lines that a shell sees: a backslash at the end of a line joins it to the next.

    The prompt of a line (`$ `) stays, because the lines after it are what the command prints.
    """
    return code.replace("\\\n", " ").splitlines()


def simple_commands(line: str) -> Iterator[list[str]]:
    """Takes a line apart at `&&`, `|` and `;`. Assignments before a command are left out."""
    line = _ASSIGNED_OUTPUT.sub(r"\1", line.removeprefix("$ "))
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in [*lexer, ";"]:
            if set(word) <= set(";&|"):
                if words:
                    yield words
                words = []
            elif words or not _ASSIGNMENT.match(word):
                words.append(word)
    except ValueError:  # prose with an apostrophe: not a command
        return


def inline_commands(page: str) -> Iterator[str]:
    """Finds the `poise` commands in the sentences and tables of a page."""
    prose = _FENCE.sub("", read(page)).replace("\\|", "|")
    for code in re.findall(r"`([^`]+)`", prose):
        joined = " ".join(code.split())
        if joined.startswith("poise "):
            yield joined
