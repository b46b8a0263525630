"""A command for the cluster is read and named where it is typed."""

from pathlib import Path, PurePath

import pytest

from poise.cli.submit.request import Request, check_paths, read_request
from poise.cluster.job_files import ProjectFiles
from poise.config.errors import PoiseError

REPOSITORY = Path(__file__).resolve().parents[3]
SPACE, RECIPE = "search_spaces/demo.yaml", "pipelines/recipes/dino_scenes_demo.yaml"
SHARED = "data.dataset=/shared/scenes"
QUERIES = ("evaluation.queries=/shared/test", "evaluation.bank=null")


@pytest.fixture(autouse=True)
def _in_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.delenv("POISE_HOME", raising=False)


def _sweep(*more: str) -> Request:
    return read_request(["sweep", SPACE, SHARED, *QUERIES, *more])


def test_a_study_gets_a_name_from_its_command_so_that_sending_twice_continues_it() -> None:
    request = _sweep()
    assert request.study is not None and request.study.startswith("demo-")
    assert request.words[-2:] == ("--name", request.study)
    assert _sweep() == request
    assert request.continued().words == (*request.words, "--resume")


def test_the_cluster_is_asked_about_every_dataset_that_the_recipe_names() -> None:
    request = _sweep()
    datasets = ["/shared/scenes", "/shared/test"]
    assert request.question == {"study": request.study, "datasets": datasets}
    assert read_request(["doctor"]).question == {"study": None, "datasets": []}


@pytest.mark.parametrize("other", ["seeds=[7]", "training.epochs=3"])
def test_another_command_is_another_study(other: str) -> None:
    assert _sweep(other).study != _sweep().study


def test_another_content_of_the_same_file_is_another_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["pretrain", str(tmp_path / "mine.yaml"), SHARED, *QUERIES]
    (tmp_path / "mine.yaml").write_text(Path(RECIPE).read_text())
    first = read_request(words).study
    (tmp_path / "mine.yaml").write_text(Path(RECIPE).read_text() + "\n# changed\n")
    assert read_request(words).study != first
    monkeypatch.setenv("POISE_HOME", "/shared/other")
    assert read_request(words).study != first


def test_a_name_that_the_user_gave_stays() -> None:
    request = _sweep("--name", "mine")
    assert (request.study, request.words[-2:]) == ("mine", ("--name", "mine"))


def test_the_leading_name_of_the_program_is_dropped() -> None:
    assert read_request(["poise", "doctor"]) == read_request(["doctor"]) == Request(("doctor",))


@pytest.mark.parametrize(
    ("words", "study"),
    [
        (["sweep", "--resume", "mine"], "mine"),
        (["ablate", "--extend", "mine", "seeds=[3]"], "mine"),
        (["pretrain", "--resume", "mine"], "mine"),
        (["sweep", SPACE, "--resume"], None),  # the latest one: only the cluster knows its name
        (["sweep", SPACE, "--dry-run"], None),
        (["models", "list"], None),
        (["sweep", "--help"], None),
    ],
)
def test_other_commands_are_sent_unchanged(words: list[str], study: str | None) -> None:
    request = read_request(words)
    assert (request.words, request.study, request.recipe) == (tuple(words), study, None)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "found nothing"),
        (["pretran"], "found 'pretran'"),
        (["jobs", "list"], "found 'jobs'"),
        (["doctor", "--jsn"], "no option is called '--jsn'"),
        (["models", "lst"], "did you mean 'list'"),
        (["models"], "poise models: name one of its commands"),
        (["sweep", "search_spaces/dmo.yaml"], "did you mean 'search_spaces/demo.yaml'"),
        (["sweep", SPACE, "training.epoch=2"], "training.epochs"),
        (["pretrain", RECIPE, "training.epochs=x"], "must be a whole number"),
        (["pretrain", RECIPE], "data.dataset=data/scenes-train: data is not sent with a job"),
        (["pretrain", RECIPE, SHARED, *QUERIES, "--name", "no name"], "--name 'no name'"),
    ],
)
def test_a_mistake_is_found_before_anything_is_sent(words: list[str], expected: str) -> None:
    with pytest.raises(PoiseError) as raised:
        read_request(words)
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.fixture
def files(tmp_path: Path) -> ProjectFiles:
    for name in ("recipes/a.yaml", "data/train/manifest.json", ".env"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return ProjectFiles(tmp_path, (PurePath("recipes/a.yaml"),))


@pytest.mark.parametrize(
    "word",
    [
        "data/train",
        "./data/train",
        "data.dataset=data/train",
        ".env",
        "--model=data/train",
        "../x.y",
    ],
)
def test_a_path_that_is_only_on_this_machine_is_refused(word: str, files: ProjectFiles) -> None:
    (files.folder.parent / "x.y").touch()
    with pytest.raises(PoiseError, match="is on this machine and is not sent"):
        check_paths([word], files)


@pytest.mark.parametrize(
    "word",
    ["recipes/a.yaml", "./recipes/a.yaml", "recipes/", "/shared/data", "s3://bucket/data", "list",
     "training.base_lr=0.5", "models:/name/1", "x" * 3000 + "/y"],
)  # fmt: skip
def test_other_words_are_left_alone(word: str, files: ProjectFiles) -> None:
    check_paths([word], files)
