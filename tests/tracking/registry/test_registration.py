from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from poise.config import PoiseError, Recipe
from poise.tracking.registry.registration import model_name, register_model
from poise.tracking.registry.version import RegisteredFigure
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.registry.version_search import list_versions
from poise.tracking.run import Run, create_study_run, create_trial_run, log_recipe
from poise.tracking.store import Store

RESULT = {"objective": "dino", "metric": "eval/knn_top1", "verdict": "healthy"}
FIGURES = {
    "eval/knn_top1": RegisteredFigure(33.4, "%", 31.0, 36.0, "knn/dino-v1", "scenes-test"),
    "patches/outlier_share": RegisteredFigure(0.001),
}


def register_trial(store: Store, package: Path, trial_id: str, name: str = "scenes-vit") -> Run:
    study = create_study_run(store, "scenes", "collapse", package.parent)
    trial = create_trial_run(study, trial_id, package.parent)
    register_model(store, package, name, trial.run_id, RESULT, FIGURES)
    return trial


def test_a_version_leads_back_to_trial_sweep_recipe_and_dataset(
    store: Store, package: Path
) -> None:
    study = create_study_run(store, "scenes", "collapse", package.parent)
    trial = create_trial_run(study, "00002", package.parent)
    recipe = Recipe.model_validate({"name": "dino-tiny", "data": {"dataset": "data/scenes"}})
    log_recipe(trial, recipe, {"poise.dataset": "scenes", "poise.dataset_fingerprint": "ab12"})
    uri = register_model(store, package, "scenes-vit", trial.run_id, RESULT, FIGURES)
    (version,) = list_versions(store)
    assert uri == version.uri == "models:/scenes-vit/1"
    assert version.aliases == ("candidate",)
    assert version.run_id == trial.run_id
    expected = RESULT | {
        "study_run": study.run_id,
        "recipe": "dino-tiny",
        "dataset": "scenes",
        "dataset_fingerprint": "ab12",
        "backbone": "vit_tiny_patch16_224",
    }
    assert expected.items() <= version.tags.items()
    assert version.figures == FIGURES
    assert str(version.main_figure) == "33.4 %"


def test_the_candidate_is_the_newest_version_and_others_keep_their_aliases(
    store: Store, package: Path
) -> None:
    register_trial(store, package, "0")
    store.client.set_registered_model_alias("scenes-vit", "champion", "1")
    register_trial(store, package, "1")
    aliases = [(version.version, version.aliases) for version in list_versions(store)]
    assert aliases == [(2, ("candidate",)), (1, ("champion",))]
    assert find_model(store, "models:/scenes-vit@champion").version == 1
    assert find_model(store, "scenes-vit/1").version == 1
    assert find_model(store, "scenes-vit").version == 2


def test_what_was_registered_last_is_listed_first_whatever_its_name(
    store: Store, package: Path
) -> None:
    register_trial(store, package, "0")
    register_trial(store, package, "1", name="another-vit")
    assert [each.name for each in list_versions(store)] == ["another-vit", "scenes-vit"]


def test_a_sweep_that_registers_again_makes_no_second_version(store: Store, package: Path) -> None:
    first = register_trial(store, package, "0")
    again = register_trial(store, package, "0")
    assert first.run_id == again.run_id
    assert [version.version for version in list_versions(store)] == [1]


@pytest.mark.slow
def test_registrations_at_the_same_moment_get_versions_of_their_own(
    store: Store, package: Path
) -> None:
    study = create_study_run(store, "scenes", "collapse", package.parent)
    trials = [create_trial_run(study, str(index), package.parent) for index in range(4)]
    with ThreadPoolExecutor(4) as pool:
        uris = list(
            pool.map(
                lambda trial: register_model(
                    store, package, "scenes-vit", trial.run_id, RESULT, FIGURES
                ),
                trials,
            )
        )
    assert sorted(uris) == [f"models:/scenes-vit/{number}" for number in (1, 2, 3, 4)]


def test_a_damaged_package_is_never_registered(store: Store, package: Path) -> None:
    (package / "backbone.safetensors").write_bytes(b"half of the")
    with pytest.raises(PoiseError, match="damaged"):
        register_trial(store, package, "0")
    assert list_versions(store) == []


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("scenes-vit/7", "has versions 1 and aliases candidate"),
        ("scenes-vit@champion", "has versions 1 and aliases candidate"),
        ("secnes-vit", "no model is called 'secnes-vit'; there are scenes-vit"),
        ("runs:/ab12/model", "write models:/NAME/VERSION"),
        ("it's", "write models:/NAME/VERSION"),
    ],
)
def test_a_wrong_reference_is_told_what_there_is(
    store: Store, package: Path, reference: str, message: str
) -> None:
    register_trial(store, package, "0")
    with pytest.raises(PoiseError, match=message):
        find_model(store, reference)


def test_an_empty_registry_says_so(store: Store) -> None:
    with pytest.raises(PoiseError, match="nothing is registered yet"):
        find_model(store, "scenes-vit")


def test_registered_names_have_no_characters_that_mlflow_refuses() -> None:
    assert model_name("my data/2024:a", "mae", "vit_small_patch16_224") == (
        "my-data-2024-a-mae-vit_small_patch16_224"
    )


def test_a_run_of_another_store_is_named_with_the_store_that_lacks_it(
    store: Store, package: Path
) -> None:
    with pytest.raises(PoiseError, match=r"run 0{32} is not in sqlite:.*; set MLFLOW_TRACKING_URI"):
        register_model(store, package, "scenes-vit", "0" * 32, RESULT)


def test_mlflows_page_shows_few_tags(store: Store, package: Path) -> None:
    register_trial(store, package, "0")
    tags = store.client.get_model_version("scenes-vit", "1").tags
    own = [f"poise.{name}" for name in ("backbone", "metric", "objective", "verdict")]
    assert sorted(tags) == [*own, "poise_figures", "poise_lineage"]


def test_a_version_of_an_older_poise_is_read_with_its_one_figure(
    store: Store, package: Path
) -> None:
    register_trial(store, package, "0")
    client = store.client
    for tag in ("figures", "lineage"):
        client.delete_model_version_tag("scenes-vit", "1", f"poise_{tag}")
    older = {"metric_value": "61.25", "protocol": "knn/dino-v1", "weights_sha256": "ab"}
    for tag, value in older.items():
        client.set_model_version_tag("scenes-vit", "1", f"poise.{tag}", value)
    version = find_model(store, "scenes-vit/1")
    assert version.figures == {"eval/knn_top1": RegisteredFigure(61.25, protocol="knn/dino-v1")}
    assert version.tags["weights_sha256"] == "ab"


@pytest.mark.parametrize(
    "damaged", ["", "61.2", "[]", '{"eval/knn_top1": 61}', '{"a": {"value": "x"}}', '{"a": {}}']
)
def test_a_version_whose_figures_were_changed_by_hand_is_still_found(
    store: Store, package: Path, damaged: str, caplog: pytest.LogCaptureFixture
) -> None:
    register_trial(store, package, "0")
    store.client.set_model_version_tag("scenes-vit", "1", "poise_figures", damaged)
    (version,) = list_versions(store)
    assert version.figures == {}
    assert "its tag poise_figures was changed by hand and is ignored" in caplog.text
