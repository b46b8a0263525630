from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from poise.cli.main import run
from poise.cli.pretrain import RECIPE_FILE, begin
from poise.config import load_recipe
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset

Refuses = Callable[..., None]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture
def recipe_file(runs: Path, tmp_path: Path) -> str:
    write_dataset(tmp_path / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(16)])
    content = tiny_recipe(data__dataset="dataset").model_dump(mode="json")
    Path("recipe.yaml").write_text(yaml.safe_dump(content))
    return "recipe.yaml"


@pytest.fixture
def refuses(capsys: pytest.CaptureFixture[str]) -> Refuses:
    def check(words: list[str], expected: str) -> None:
        assert run(["pretrain", *words]) == 2
        printed = capsys.readouterr()
        assert (printed.out, printed.err) == ("", f"error: {expected}\n")

    return check


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "name either a recipe to start or, with --resume, a run to finish"),
        (["seed=1"], "name either a recipe to start or, with --resume, a run to finish"),
        (["a.yaml", "--resume", "r"], "name either a recipe to start or, with --resume, a run to "
         "finish"),
        (["--name", "a", "--resume", "r"], "--name a: the run that --resume finishes keeps its "
         "name, r"),
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--resume", "lost"], "--resume lost: {runs} holds no such run; it holds none"),
        (["a.yaml", "--name", "../a"], "--name '../a': letters, digits and '.', '_', '-' make a "
         "name; it begins with a letter or a digit"),
        (["a.yaml", "--name", "models"], "--name models: {runs} keeps something else under it; "
         "choose another"),
        (["a.yaml", "--name", "mlflow.db-wal"], "--name mlflow.db-wal: {runs} keeps something else "
         "under it; choose another"),
    ],
)  # fmt: skip
def test_what_cannot_be_pretrained_is_one_line_and_leaves_nothing(
    words: list[str], expected: str, runs: Path, refuses: Refuses
) -> None:
    refuses(words, expected.format(runs=runs))
    assert not runs.exists()


def test_a_name_is_taken_once_and_resuming_knows_what_was_begun(
    recipe_file: str, runs: Path, refuses: Refuses
) -> None:
    begin(recipe_file, [], "first")
    begin(recipe_file, [], "second")
    refuses(
        [recipe_file, "--name", "first"],
        f"{runs / 'first'}: there is a run of this name; finish it with "
        "`poise pretrain --resume first`, or choose another --name",
    )
    refuses(
        ["--resume", "third"],
        f"--resume third: {runs} holds no such run; it holds first, second",
    )
    # Settings may follow --resume.
    refuses(
        ["--resume", "first", "training.epoch=3"],
        "command line: no setting is called 'training.epoch'; did you mean 'training.epochs'?",
    )


def test_a_run_that_begins_is_complete_and_resumes_from_any_folder(
    recipe_file: str, runs: Path, tmp_path: Path
) -> None:
    recipe, name = begin(recipe_file, ["training.epochs=3"])
    assert name.startswith("tiny-")
    assert recipe.data.dataset == str(tmp_path / "dataset")
    assert load_recipe(runs / name / RECIPE_FILE) == recipe


def test_a_recipe_that_cannot_run_takes_no_name(
    recipe_file: str, runs: Path, refuses: Refuses
) -> None:
    refuses(
        [recipe_file, "training.batch_size=64", "--name", "a"],
        "training.batch_size=64 is more than the 16 images of "
        f"{runs.parent / 'dataset'}; make it smaller",
    )
    assert not runs.exists()
