"""A page as one script: what a reader types, from top to bottom, in one shell.

In: a page and its ``Reading``. Out: a script for bash, and how many blocks and commands it runs.
Next: ``test_pages_run.py``.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.documents.blocks import Block, blocks, logical_lines

_HEAD = r"""
set -uo pipefail
FAILED=
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT

at() {  # PLACE COMMAND: says what comes next
    AT=$1
    echo "== $1  $2  (after ${SECONDS} s)"
}
ended() {  # notes a command that failed; the page goes on, as a reader would
    local status=$?
    test $status = 0 || FAILED+="$AT: status $status"$'\n'
}
answers() {  # waits until a port of this machine answers
    for _ in $(seq 600); do
        curl --silent --output /dev/null "http://127.0.0.1:$1/" && return
        sleep 1
    done
    echo "nothing answers at port $1" >&2
    return 1
}
serving() {  # PORT COMMAND: starts a command that does not end, and waits for its port
    "${@:2}" </dev/null &
    answers "$1"
}
served() {  # PORT COMMAND: the same, and ends it
    serving "$@"
    kill $!
    wait $! || true
}
prints() {  # TEXT COMMAND: runs a command that may fail, and compares what it prints
    diff <(printf '%s' "$1") <("${@:2}" 2>&1 | grep -v '^+ ')
}
"""
_TAIL = """
test -z "$FAILED" || { echo "failed:"; echo "$FAILED"; exit 1; }
"""


@dataclass(frozen=True)
class Reading:
    """What a test does for a page, so that its commands run here as they are written."""

    around: str = ""
    """Commands that set variables and start servers, in the page's own shell. They come first."""

    before: str = ""
    """Commands that make what the page presumes: a reader's photographs, a registered model."""

    replaced: Mapping[str, str] = field(default_factory=dict)
    """Placeholders and what stands for them."""

    not_run: Mapping[str, str] = field(default_factory=dict)
    """Beginnings of commands that cannot run here, each with the reason."""

    python_before: str = ""
    """Names that the page's Python presumes."""

    after: str = ""
    """Commands that check what the page has made."""


@dataclass(frozen=True)
class Part:
    """One command of a page, or one block of Python."""

    place: str
    code: str
    reason: str | None = None
    """Why it is not run, or None."""


def parts(page: str, reading: Reading) -> Iterator[Part]:
    """Takes a page apart into what is run and what is not."""
    for block in blocks(page):
        if block.language == "shell":
            yield from _shell(block, reading)
        elif block.language == "python":
            code = reading.python_before + _replace(block.text, reading)
            yield Part(block.place, f"python - <<'END_OF_BLOCK'\n{code}\nEND_OF_BLOCK")


def script(page: str, reading: Reading) -> str:
    """Returns the script of a page."""
    run = [part for part in parts(page, reading) if part.reason is None]
    first = [("around", reading.around or "true"), ("before", _all_of(reading.before))]
    steps = [*first, *((part.place, part.code) for part in run)]
    lines = [_HEAD]
    for place, code in (*steps, ("after", _all_of(reading.after))):
        shown = code.strip().splitlines()[0]
        lines += [f"at {shlex.quote(place)} {shlex.quote(shown)}", code, "ended"]
    return "\n".join([*lines, _TAIL])


def _all_of(code: str) -> str:
    return f"(set -e; {code.strip() or 'true'})"


def _shell(block: Block, reading: Reading) -> Iterator[Part]:
    lines = [line for line in logical_lines(block.text) if line and not line.startswith("#")]
    if block.text.startswith("$ "):
        printed = "".join(f"{line}\n" for line in lines[1:])
        yield Part(block.place, f"prints {shlex.quote(printed)} {lines[0].removeprefix('$ ')}")
        return
    for line in lines:
        reasons = (why for start, why in reading.not_run.items() if line.startswith(start))
        yield Part(block.place, _replace(line, reading), next(reasons, None))


def _replace(code: str, reading: Reading) -> str:
    if not reading.replaced:
        return code
    pattern = "|".join(map(re.escape, reading.replaced))
    return re.sub(pattern, lambda found: reading.replaced[found[0]], code)
