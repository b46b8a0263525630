"""What `poise models` says about a version's history: run, verdict, start and differences."""

import json
from pathlib import Path

import pytest
from PIL import Image

from poise.cli.main import run as poise
from poise.tracking.registry.version import RegisteredFigure, stored_tags
from poise.tracking.run import Run, create_study_run, create_trial_run, log_files, set_tags
from poise.tracking.store import Store, open_store

pytestmark = pytest.mark.slow

FIGURE = RegisteredFigure(60.0, "%", 57.0, 63.0, "knn/dino-v1", "scenes-test")
COMMIT = "0123456789abcdef0123"


def registered(store: Store, run: Run, **tags: str) -> None:
    """Adds a version of the model ``vit`` that the run made."""
    facts = {"metric": "eval/knn_top1", "verdict": "healthy", "objective": "dino"}
    facts |= {"dataset": "scenes", "recipe": "dino-scenes", "version": "0.1.0", "commit": COMMIT}
    stored = stored_tags(facts | tags, {"eval/knn_top1": FIGURE})
    store.client.create_model_version(
        "vit", "/nowhere", run.run_id, tags=stored, await_creation_for=0
    )


@pytest.fixture(autouse=True)
def chain(poise_home: Path, tmp_path: Path) -> None:
    """Three versions, each trained from the one before. The first one began with a file."""
    store = open_store()
    study = create_study_run(store, "scenes", "collapse", tmp_path / "study")
    store.client.create_registered_model("vit")
    for number, start in enumerate(("theirs.pth", "models:/vit/1", "models:/vit/2")):
        run = create_trial_run(study, f"t{number}-s0", tmp_path / "study" / f"t{number}-s0")
        evidence = {"poise.verdict": "healthy", "poise.verdict_evidence": f"RankMe is 6{number}"}
        set_tags(run, evidence | {"mlflow.parentRunId": study.run_id})
        store.client.log_param(run.run_id, "optimizer.base_lr", str(number))
        store.client.log_param(run.run_id, "seed", "0")
        Image.new("RGB", (8, 8)).save(tmp_path / "curves.png")
        log_files(run, [tmp_path / "curves.png"], "pictures")
        registered(
            store, run, backbone=f"vit_{number}", study_run=study.run_id, initial_weights=start,
            initial_weights_sha256="ab" * 32,
        )  # fmt: skip


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert poise(["models", *words]) == 0
    return capsys.readouterr().out


def test_a_version_is_shown_with_evidence_lineage_and_pictures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(capsys, "show", "vit/2")
    for part in (
        "verdict     healthy. RankMe is 61\n",
        "study       collapse  (",
        "trial       t1-s0  (",
        "start       models:/vit/1  (SHA-256 abababababab…)\n",
        "recipe      dino-scenes\n",
        f"code        Poise 0.1.0  (commit {COMMIT[:12]}",
        "eval/knn_top1  60.0 %  57.0 to 63.0   knn/dino-v1  scenes-test",
        "pictures    1 among the artifacts of run ",
        "            pictures/curves.png\n",
    ):
        assert part in text, text
    described = json.loads(printed(capsys, "show", "vit/2", "--json"))
    assert described["verdict_evidence"] == "RankMe is 61"
    assert (described["study"], described["run"]) == ("collapse", "t1-s0")
    assert described["pictures"] == ["pictures/curves.png"]
    assert described["settings"]["optimizer.base_lr"] == "1"


def test_the_models_that_training_started_from_follow_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(capsys, "lineage", "vit/3")
    starts = [line for line in text.splitlines() if not line.startswith(" ")]
    assert starts == [
        "models:/vit/3", "started from models:/vit/2", "started from models:/vit/1",
        "started from theirs.pth",
    ]  # fmt: skip
    assert text.count("  recipe      dino-scenes") == 3
    quiet = printed(capsys, "lineage", "vit/3", "--quiet")
    assert quiet.splitlines() == ["models:/vit/3", "models:/vit/2", "models:/vit/1", "theirs.pth"]


def test_a_start_that_was_deleted_or_names_itself_ends_the_history(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = open_store()
    store.client.delete_model_version("vit", "1")
    assert printed(capsys, "lineage", "vit/3", "--quiet").splitlines() == [
        "models:/vit/3", "models:/vit/2", "models:/vit/1 (not in this registry any more)",
    ]  # fmt: skip
    run = Run(store, store.client.get_model_version("vit", "2").run_id, "", "")
    registered(store, run, initial_weights="models:/vit/4")
    assert printed(capsys, "lineage", "vit/4", "--quiet").splitlines() == ["models:/vit/4"]


def test_a_difference_is_printed_as_the_two_values(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "diff", "vit/1", "vit/2")
    assert text.splitlines() == [
        "- backbone: vit_0", "+ backbone: vit_1",
        "- initial_weights: theirs.pth", "+ initial_weights: models:/vit/1",
        "- optimizer.base_lr: 0", "+ optimizer.base_lr: 1",
    ]  # fmt: skip
    assert json.loads(printed(capsys, "diff", "vit/1", "vit/2", "--json")) == {
        "backbone": ["vit_0", "vit_1"],
        "initial_weights": ["theirs.pth", "models:/vit/1"],
        "optimizer.base_lr": ["0", "1"],
    }


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--backbone", "vit_1"], [2]),
        (["--backbone", "resnet"], []),
        (["--objective", "dino"], [3, 2, 1]),
        (["--objective", "mae"], []),
        (["--dataset", "scenes", "--backbone", "vit_2"], [3]),
        (["--dataset", "photos"], []),
    ],
)
def test_the_options_of_a_list_filter_by_the_tag_of_their_name(
    words: list[str], numbers: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(printed(capsys, "list", *words, "--json"))
    assert [each["uri"] for each in found] == [f"models:/vit/{number}" for number in numbers]
