import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from poise.config import PoiseError
from poise.config.gates import DEFAULT_GATES, Gates, load_gates
from poise.tracking.registry import promotion
from poise.tracking.registry.changing import changing_registry
from poise.tracking.registry.gates import GateResult
from poise.tracking.registry.promotion import promote_if_passed, read_alias
from poise.tracking.registry.promotion_records import (
    Promotion,
    promotions_of,
    read_promotions,
    write_promotions,
)
from poise.tracking.registry.promotion_undo import undo
from poise.tracking.registry.version import Version
from poise.tracking.registry.version_lookup import find_model, is_exact
from poise.tracking.registry.version_search import read_aliases
from poise.tracking.store import Store
from tests.tracking.registry.test_version_search import add

NO_GATES = Gates(
    verdicts=(), evaluations=(), knn=None, max_outlier_growth=None, max_forgotten_points=None
)


def promote(store: Store, version: Version, alias: str, why: str) -> None:
    promote_if_passed(store, NO_GATES, version, alias, why)


@pytest.fixture
def versions(store: Store) -> list[Version]:
    for value in (50.0, 60.0, 70.0):
        add(store, "vit", value, verdict="healthy")
    return [find_model(store, f"vit/{number}") for number in (1, 2, 3)]


def test_a_promotion_moves_the_alias_and_keeps_who_when_and_why(
    store: Store, versions: list[Version]
) -> None:
    promote(store, versions[0], "best", "the first")
    promote(store, versions[1], "best", "better  k-NN\n than before")
    assert read_aliases(store, "vit") == {"best": 2}
    newest, oldest = read_promotions(store, "vit", "best")
    assert (newest.version, newest.previous, newest.why) == (2, 1, "better k-NN than before")
    assert (oldest.version, oldest.previous) == (1, None)
    assert "@" in newest.by and newest.at.endswith("+00:00")
    description = store.client.get_model_version("vit", "2").description
    assert "promoted to `@best` on" in description and "better k-NN than before" in description
    assert store.client.get_registered_model("vit").description.startswith("Take version 2")


def test_undo_gives_the_alias_back_one_promotion_at_a_time(
    store: Store, versions: list[Version]
) -> None:
    for version in versions:
        promote(store, version, "best", "better")
    assert [undo(store, "vit", "best").previous for _ in range(2)] == [2, 1]
    assert read_aliases(store, "vit") == {"best": 1}
    undo(store, "vit", "best")
    assert read_aliases(store, "vit") == {}
    with pytest.raises(PoiseError, match="vit@best: there is no promotion to undo"):
        undo(store, "vit", "best")
    assert all(record.undone_at for record in read_promotions(store, "vit", "best"))


def test_undo_refuses_to_overwrite_an_alias_that_something_else_moved(
    store: Store, versions: list[Version]
) -> None:
    promote(store, versions[0], "best", "first")
    store.client.set_registered_model_alias("vit", "best", "3")
    with pytest.raises(PoiseError, match=r"names version 3, but .* gave it to version 1"):
        undo(store, "vit", "best")
    assert read_aliases(store, "vit") == {"best": 3}


def test_undo_says_that_the_version_before_was_deleted(
    store: Store, versions: list[Version]
) -> None:
    promote(store, versions[0], "best", "first")
    promote(store, versions[1], "best", "second")
    store.client.delete_model_version("vit", "1")
    with pytest.raises(PoiseError, match="version 1, which had the alias before, was deleted"):
        undo(store, "vit", "best")
    assert read_aliases(store, "vit") == {"best": 2}


def test_undo_refuses_a_version_that_does_not_have_the_alias(
    store: Store, versions: list[Version]
) -> None:
    promote(store, versions[0], "best", "first")
    with pytest.raises(PoiseError, match="vit/2: does not have the alias best"):
        undo(store, "vit", "best", version=2)
    assert read_aliases(store, "vit") == {"best": 1}
    assert undo(store, "vit", "best", version=1).version == 1


@pytest.mark.parametrize(
    ("reference", "exact"),
    [
        ("vit", False), ("models:/vit", False), ("vit/1", True), ("models:/vit/1", True),
        ("vit@candidate", True),
    ],
)  # fmt: skip
def test_a_reference_is_exact_if_it_is_more_than_the_name_of_a_model(
    reference: str, exact: bool
) -> None:
    assert is_exact(reference) is exact


def test_the_gates_see_the_version_that_another_process_promoted_meanwhile(
    store: Store, versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process has the lock first, so the alias moves after the gates were checked."""

    @contextmanager
    def locked_later() -> Iterator[None]:
        store.client.set_registered_model_alias("vit", "best", "3")
        yield

    monkeypatch.setattr(promotion, "changing_registry", locked_later)
    gates = Gates(knn=None, max_outlier_growth=0.1)
    found = promotion.promote_if_passed(store, gates, versions[0], "best", "the first")
    assert found.holder is not None and found.holder.version == 3
    assert found.record is None, "nobody measured the outliers of version 3"
    assert read_aliases(store, "vit") == {"best": 3}


def is_changing(home: Path) -> bool:
    """Whether somebody holds the lock of the registry."""
    with (home / "registry.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_only_one_process_at_a_time_changes_the_registry(poise_home: Path) -> None:
    with changing_registry():
        assert is_changing(poise_home)
    assert not is_changing(poise_home)


def test_gates_are_checked_without_the_lock_and_the_alias_moves_with_it(
    store: Store, versions: list[Version], poise_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check may fetch files for minutes, and would hold up every evaluation meanwhile."""
    held: dict[str, bool] = {}

    def checked(*_: object) -> list[GateResult]:
        held["check"] = is_changing(poise_home)
        return []

    def written(*arguments: Any) -> None:
        held["change"] = is_changing(poise_home)
        write_promotions(*arguments)

    monkeypatch.setattr(promotion, "check_gates", checked)
    monkeypatch.setattr(promotion, "write_promotions", written)
    promote(store, versions[0], "best", "first")
    assert held == {"check": False, "change": True}


def test_a_promotion_describes_the_model_once(
    store: Store, versions: list[Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(store, versions[0], "best", "first")
    described = []
    plain = store.client.update_registered_model

    def counted(name: str, text: str) -> None:
        described.append(name)
        plain(name, text)

    monkeypatch.setattr(store.client, "update_registered_model", counted)
    promote(store, versions[1], "best", "second")
    assert described == ["vit"]
    for number, words in (("1", "first"), ("2", "second")):
        text = store.client.get_model_version("vit", number).description
        assert "promoted to `@best` on" in text and words in text


@pytest.mark.parametrize("why", ["", " \n ", "x" * 301])
def test_a_promotion_without_a_short_reason_is_refused(
    store: Store, versions: list[Version], why: str
) -> None:
    with pytest.raises(PoiseError, match="--why: write a reason of 1 to 300 characters"):
        promote(store, versions[0], "best", why)
    assert read_aliases(store, "vit") == {}


def test_records_never_outgrow_their_tag(store: Store, versions: list[Version]) -> None:
    records = [Promotion(n, n - 1, "me@host", "now", "ü" * 300) for n in range(60, 0, -1)]
    write_promotions(store, "vit", "best", records)
    text = store.client.get_registered_model("vit").tags["poise.promotions.best"]
    assert len(text) <= 5000
    kept = read_promotions(store, "vit", "best")
    assert kept == records[: len(kept)] and len(kept) > 5


@pytest.mark.parametrize("damaged", ["", "{}x", "[1]", json.dumps([{"version": 1}])])
def test_records_that_were_changed_by_hand_are_named_and_stop_only_promotions(
    store: Store, versions: list[Version], damaged: str
) -> None:
    store.client.set_registered_model_tag("vit", "poise.promotions.best", damaged)
    with pytest.raises(PoiseError, match=r"its tag poise\.promotions\.best was changed by hand"):
        promote(store, versions[0], "best", "first")
    assert read_aliases(store, "vit") == {}
    assert promotions_of(store, "vit", 1) == []


@pytest.mark.parametrize(
    "alias",
    ["", "@", "a b", "a/b", "v3", "V12", "latest", "Latest", "candidate", "@candidate", "ä"],
)
def test_an_alias_that_mlflow_or_poise_keeps_for_itself_is_refused(alias: str) -> None:
    with pytest.raises(PoiseError, match="--to"):
        read_alias(alias)


def test_an_alias_may_be_written_with_its_sign() -> None:
    assert read_alias("@production") == read_alias("production") == "production"


def test_the_shipped_gates_are_the_default_ones_and_name_every_gate() -> None:
    assert load_gates() == Gates()
    text = DEFAULT_GATES.read_text(encoding="utf-8")
    assert all(f"\n{name}:" in text for name in Gates.model_fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("verdict: [healthy]", "verdict"),
        ("knn: {margin_points: -1}", "margin_points"),
        ("knn: {metrics: []}", "metrics"),
        ("max_outlier_growth: high", "max_outlier_growth"),
        ("- healthy", "gates.yaml"),
        ("knn: {margin_points: .nan}", "margin_points"),
    ],
)
def test_wrong_gates_are_refused_in_one_line_with_the_file(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "gates.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PoiseError, match=message) as refused:
        load_gates(file)
    assert str(file) in str(refused.value) and len(str(refused.value).splitlines()) == 1
