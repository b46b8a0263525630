"""What a shell offers after `poise`: commands, options and names, read from files alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from poise.cli import completion
from poise.cli.main import COMMANDS, run
from poise.config.paths import STUDY_FILE
from poise.data.manifest import MANIFEST_FILE
from poise.tracking.registry.names import read_names
from poise.tracking.registry.registration import CANDIDATE, register_model
from poise.tracking.run import create_run
from poise.tracking.store import open_store
from tests.packages import save_package

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe, a space, two datasets, a run and a study."""
    for name in (
        "pipelines/recipes/dino.yaml",
        "search_spaces/temperatures.yaml",
        f"data/photos/{MANIFEST_FILE}",
        f"data/shapes/{MANIFEST_FILE}",
        "data/unfinished/shard.parquet",
        "runs/first-run/recipe.yaml",
        f"runs/first-study/{STUDY_FILE}",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POISE_HOME")
    return tmp_path


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Offered":
    return Offered(monkeypatch, capsys)


class Offered:
    """Asks as a shell does: with the words so far, the last of which is being typed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, line: str) -> list[str]:
        """The answer to Bash."""
        words = line.split(" ")
        self._monkeypatch.setenv("COMP_WORDS", "\n".join(words))
        self._monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        return self.answer("complete_bash").split()

    def answer(self, instruction: str, line: str = "") -> str:
        """The answer to one instruction of a shell's script."""
        self._monkeypatch.setenv("_POISE_COMPLETE", instruction)
        self._monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        assert run([]) == 0
        return self._capsys.readouterr().out


def test_commands_and_options_are_completed(offered: Offered) -> None:
    assert offered("poise ") == list(COMMANDS)
    assert offered("poise pre") == ["pretrain"]
    assert offered("poise models pr") == ["promote"]
    assert offered("poise models list --so") == ["--sort"]


def test_recipes_and_spaces_of_the_checkout_are_completed(
    workplace: Path, offered: Offered
) -> None:
    assert offered("poise pretrain ") == ["pipelines/recipes/dino.yaml"]
    assert offered("poise sweep sear") == ["search_spaces/temperatures.yaml"]
    assert offered("poise ablate search_spaces/temperatures.yaml ") == []


def test_runs_and_studies_are_completed_where_they_are_meant(
    workplace: Path, offered: Offered
) -> None:
    assert offered("poise pretrain --resume ") == ["first-run"]
    assert offered("poise sweep --resume ") == ["first-study"]
    assert offered("poise ablate --extend f") == ["first-study"]
    assert offered("poise report ") == ["first-study"]


def test_only_prepared_datasets_are_completed(workplace: Path, offered: Offered) -> None:
    assert offered("poise evaluate knn some/model ") == ["data/photos", "data/shapes"]
    assert offered("poise data preview data/s") == ["data/shapes"]


def test_where_nothing_is_known_the_shell_completes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: Offered
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POISE_HOME", "s3://runs")
    for line in ("pretrain ", "pretrain --resume ", "report ", "models show ", "data preview "):
        assert offered(f"poise {line}") == []


@pytest.mark.slow
def test_models_are_completed_from_the_store_the_newest_first(
    poise_home: Path, tmp_path: Path, offered: Offered
) -> None:
    store = open_store()
    run_id = create_run(store, "photos", "dino-tiny", tmp_path / "run").run_id
    package = save_package(tmp_path / "package")
    for name in ("photos-vit", "photos-small", "shapes"):
        register_model(store, package, name, run_id, {})
    store.client.delete_model_version("shapes", "1")
    assert offered("poise models show ph") == [
        *("photos-small", "photos-vit", "photos-small/1", "photos-vit/1"),
    ]
    assert offered("poise evaluate knn photos-v") == ["photos-vit", "photos-vit/1"]
    assert offered("poise models list photos-v") == ["photos-vit"], "it filters by a whole name"
    assert read_names("%") == []
    store.client.set_registered_model_alias("photos-vit", "release", "1")
    assert offered("poise models promote photos-vit --to ") == ["best", "production", "release"]
    assert offered("poise models list --alias r") == ["release"]
    assert read_names("shapes") == []


@pytest.mark.slow
def test_filters_are_completed_by_values_that_a_shell_takes_for_one_word(
    poise_home: Path, tmp_path: Path, offered: Offered
) -> None:
    store = open_store()
    package = save_package(tmp_path / "package")
    for number, verdict in enumerate(("healthy", "collapsed: uniform", "healthy")):
        run_id = create_run(store, "photos", f"run-{number}", tmp_path / str(number)).run_id
        tags = {"objective": "dino", "dataset": "photos", "verdict": verdict}
        register_model(store, package, "photos-vit", run_id, tags)
    assert offered("poise models list --verdict ") == ["healthy"]
    assert offered("poise models list --objective d") == ["dino"]
    assert offered("poise models list --dataset ") == ["photos"]


def test_a_store_that_cannot_be_read_at_once_gives_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert read_names() == []
    (tmp_path / "mlflow.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert read_names() == []


def test_zsh_and_fish_get_the_names_in_their_own_form(
    workplace: Path, offered: Offered, monkeypatch: pytest.MonkeyPatch
) -> None:
    zsh = offered.answer("complete_zsh", "poise report ")
    assert zsh.strip() == "_arguments '*: :((\"first-study\"))'"
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    assert offered.answer("complete_fish", "poise report ").split() == ["first-study"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_that_asks_poise(shell: str, offered: Offered) -> None:
    assert f"_POISE_COMPLETE=complete_{shell}" in offered.answer(f"source_{shell}")


def test_the_files_that_are_looked_for_are_those_that_are_written() -> None:
    assert completion.MANIFEST_FILE == MANIFEST_FILE
    assert completion.STUDY_FILE == STUDY_FILE
    assert completion.OWN_ALIAS == CANDIDATE


def test_names_are_found_without_a_heavy_library(workplace: Path) -> None:
    """A person waits for them at every press of Tab."""
    code = """
import sys
from poise.cli.completion import complete_dataset, complete_model, complete_study
assert complete_dataset() and complete_study() and not complete_model("")
print(*{"mlflow", "numpy", "pyarrow", "ray", "sqlalchemy", "torch"} & set(sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "", found.stderr


@pytest.mark.slow
def test_bash_completes_after_the_installation(workplace: Path) -> None:
    """With a home folder of the test's own, whose .bashrc is written."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    program = workplace / "bin" / "poise"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m poise.cli.main "$@"\n')
    program.chmod(0o755)
    script = """
poise --install-completion >&2; source ~/.bashrc; complete -p poise
COMP_WORDS=(poise report fi); COMP_CWORD=2; _poise_completion poise; echo "${COMPREPLY[@]}"
"""
    found = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={
            **os.environ,
            "HOME": str(workplace),
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY / "platform"),
        },
        capture_output=True,
        text=True,
    )
    answer = ["complete -o default -F _poise_completion poise", "first-study"]
    assert found.stdout.splitlines() == answer, found.stderr
