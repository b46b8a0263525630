from poise.tracking.registry.recommendation import model_text, recommend
from tests.tracking.registry.versions import knn, version


def test_a_version_that_a_person_promoted_comes_first() -> None:
    best = version(1, "best", verdict="healthy", knn_top1=knn(50))
    chosen = version(2, "production", verdict="healthy", knn_top1=knn(40))
    other = version(3, "candidate", verdict="healthy", knn_top1=knn(90))
    found = recommend([other, chosen, best])
    assert found is not None
    assert found.version is chosen
    assert found.reason == "it was promoted to `@production`"


def test_otherwise_it_is_the_healthy_version_with_the_best_figure() -> None:
    versions = [
        version(1, verdict="healthy", knn_top1=knn(60)),
        version(2, verdict="healthy", knn_top1=knn(50)),
        version(3, verdict="forgetting", knn_top1=knn(70)),
    ]
    text = model_text(versions)
    assert text.startswith(
        "Take version 1, because its eval/knn_top1 of 60.0 % (58.0 to 62.0) is the best of "
        "the 2 healthy versions."
    )


def test_a_version_whose_interval_overlaps_is_not_called_worse() -> None:
    found = recommend(
        [
            version(1, verdict="healthy", knn_top1=knn(60)),
            version(2, verdict="healthy", knn_top1=knn(59)),
        ]
    )
    assert found is not None
    assert found.reason.endswith(". But version 2 with 59.0 % is not clearly worse")


def test_figures_of_other_datasets_are_not_ranked_together() -> None:
    found = recommend(
        [
            version(1, verdict="healthy", knn_top1=knn(60)),
            version(2, verdict="healthy", knn_top1=knn(58)),
            version(3, verdict="healthy", knn_top1=knn(99, dataset="easy")),
        ]
    )
    assert found is not None
    assert found.version.version == 1


def test_where_no_version_is_healthy_none_is_recommended() -> None:
    assert model_text([version(1, verdict="diverged", knn_top1=knn(60))]).startswith(
        "No version is healthy."
    )


def test_a_model_of_many_versions_keeps_a_short_text() -> None:
    many = [version(n, verdict="healthy", knn_top1=knn(n % 90)) for n in range(1, 2000)]
    text = model_text(many)
    assert len(text) < 5000
    assert "There are 1999 versions. `poise models list` shows all of them." in text


def test_of_imported_models_which_nobody_judged_it_is_the_newest() -> None:
    text = model_text([version(2, imported_from="theirs.pth"), version(1, imported_from="x")])
    assert text.startswith(
        "Take version 2, because it is the newest version, and Poise trained no version of this "
        "model."
    )
    assert "- **1**: not judged" in text
