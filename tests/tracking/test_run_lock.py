"""One process at a time holds a folder, and the living are told from the dead."""

import json
import logging
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError
from poise.tracking import run_lock
from poise.tracking.run_lock import HOLDER_FILE, SILENT_S, Holder, held, is_held, read_holder

HOLD = """
import sys
from pathlib import Path
from typing import Any
from poise.tracking.run_lock import held

with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process, which holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def held_in_a_container(folder: Path, silent_s: float, **changes: Any) -> Holder:
    """Leaves the file of a process that has this host's name and cannot be looked up from here."""
    inside = replace(Holder.here(), pid=7, pid_namespace="pid:[1]", **changes)
    (folder / HOLDER_FILE).write_text(json.dumps(asdict(inside)))
    last_s = time.time() - silent_s
    os.utime(folder / HOLDER_FILE, (last_s, last_s))
    return inside


def test_a_folder_that_a_living_process_holds_is_refused_with_the_command_that_stops_it(
    tmp_path: Path, other: "subprocess.Popen[str]"
) -> None:
    assert is_held(tmp_path)
    with pytest.raises(PoiseError, match=f"`kill -INT {other.pid}`"), held(tmp_path):
        pytest.fail("two processes hold it")


def test_a_killed_process_leaves_its_folder_to_the_next_at_once(
    tmp_path: Path, other: "subprocess.Popen[str]"
) -> None:
    other.kill()
    other.wait()
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert read_holder(tmp_path) == Holder.here()


def test_a_process_that_ends_lets_its_folder_go(
    tmp_path: Path, other: "subprocess.Popen[str]"
) -> None:
    other.communicate("")
    assert read_holder(tmp_path) is None


@pytest.mark.parametrize("changes", [{}, {"boot_id": "another"}, {"host": "another"}])
def test_what_is_alive_elsewhere_is_refused_and_the_way_out_is_named(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    # A container with this host's name and a process id that is free here was taken for dead.
    inside = held_in_a_container(tmp_path, 5, **changes)
    assert is_held(tmp_path)
    with pytest.raises(PoiseError, match=f"{inside} was at work on it") as refused, held(tmp_path):
        pytest.fail("two processes hold it")
    way_out = str(refused.value).split("`")[1]
    subprocess.run(shlex.split(way_out), check=True)
    with held(tmp_path):
        assert read_holder(tmp_path) == Holder.here()


def test_what_has_been_silent_elsewhere_is_taken_to_be_gone_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inside = held_in_a_container(tmp_path, SILENT_S + 5)
    assert not is_held(tmp_path)
    with caplog.at_level(logging.INFO, logger="poise"), held(tmp_path):
        assert read_holder(tmp_path) == Holder.here()
    assert f"{inside} is taken to be gone" in caplog.text


def test_a_holder_renews_its_sign_of_life_for_as_long_as_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "BEAT_S", 0.01)
    with held(tmp_path):
        os.utime(tmp_path / HOLDER_FILE, (0, 0))
        while run_lock.silence_s(tmp_path) > SILENT_S:
            time.sleep(0.01)
    assert run_lock.silence_s(tmp_path) == float("inf"), "nobody holds it any more"


def test_a_holder_whose_folder_was_taken_leaves_it_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_lock, "BEAT_S", 0.01)
    with held(tmp_path):
        inside = held_in_a_container(tmp_path, 5)
        while "another process took it over" not in caplog.text:
            time.sleep(0.01)
    assert read_holder(tmp_path) == inside


def test_a_damaged_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / HOLDER_FILE).write_bytes(b"\xff{")
    with held(tmp_path):
        assert read_holder(tmp_path) == Holder.here()
