"""Recommends one version of a model, and says why.

In: the versions of a model. Out: the model's description on MLflow's page. Next: a user who looks
for a backbone.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from poise.config.metrics import better
from poise.tracking.registry.markdown import plain
from poise.tracking.registry.version import Version
from poise.tracking.registry.version_search import list_versions
from poise.tracking.store import Store

TRUSTED_ALIASES = ("production", "best")
"""Aliases that a user gave after checks. The first alias that a model has decides which version is
recommended.
"""

_ROWS = 12


class Recommendation(NamedTuple):
    """Recommended version, and the reason."""

    version: Version
    reason: str


def describe_model(store: Store, name: str) -> None:
    """Writes the description of a model into MLflow.

    Raises:
        MlflowException: the store refuses the description.
    """
    versions = list_versions(store, name)
    if versions:
        store.client.update_registered_model(name, model_text(versions))


def model_text(versions: Sequence[Version]) -> str:
    """Returns the description of a model. Its versions must be sorted newest first."""
    return "\n".join(_lines(versions))


def recommend(versions: Sequence[Version]) -> Recommendation | None:
    """Chooses the recommended version. Returns None if no version is healthy and none was promoted.

    A version that a user promoted comes first. Otherwise only healthy versions are compared that
    share the most common metric, protocol and dataset. Of these, the version with the best value is
    chosen. Imported models have no verdict, so their newest version is chosen.
    """
    for alias in TRUSTED_ALIASES:
        for version in versions:
            if alias in version.aliases:
                return Recommendation(version, f"it was promoted to `@{alias}`")
    if not any("verdict" in each.tags for each in versions):
        return Recommendation(
            versions[0], "it is the newest version, and Poise trained no version of this model"
        )
    healthy = [each for each in versions if each.tags.get("verdict") == "healthy"]
    measured = _comparable(healthy)
    if not measured:
        return Recommendation(healthy[0], "it is the newest healthy version") if healthy else None
    sign = -1 if better(measured[0].metric or "") == "min" else 1
    ranked = sorted(measured, key=lambda each: -sign * _value(each))
    return Recommendation(ranked[0], _reason(ranked))


def _comparable(versions: Sequence[Version]) -> list[Version]:
    """Returns the versions that share the most common metric, protocol and dataset."""
    groups: dict[tuple[str | None, str | None, str | None], list[Version]] = {}
    for version in versions:
        figure = version.main_figure
        if figure is not None and figure.is_finite:
            key = version.metric, figure.protocol, figure.dataset
            groups.setdefault(key, []).append(version)
    return max(groups.values(), key=len, default=[])


def _reason(ranked: Sequence[Version]) -> str:
    first = ranked[0]
    figure = first.main_figure
    assert figure is not None
    known_by = f"{first.metric} of {figure.with_interval}"
    if len(ranked) == 1:
        return f"it is the only healthy version that was measured, with {known_by}"
    reason = f"its {known_by} is the best of the {len(ranked)} healthy versions"
    second = ranked[1].main_figure
    if second is not None and _overlap(figure.low, figure.high, second.low, second.high):
        reason += f". But version {ranked[1].version} with {second} is not clearly worse"
    return reason


def _overlap(
    low: float | None, high: float | None, other_low: float | None, other_high: float | None
) -> bool:
    """Returns True if two intervals overlap, or if one of them is unknown."""
    if low is None or high is None or other_low is None or other_high is None:
        return True
    return low <= other_high and other_low <= high


def _value(version: Version) -> float:
    assert version.main_figure is not None
    return version.main_figure.value


def _lines(versions: Sequence[Version]) -> Iterator[str]:
    found = recommend(versions)
    if found is None:
        yield "No version is healthy."
    else:
        yield f"Take version {found.version.version}, because {found.reason}."
        yield ""
        yield "```"
        yield f"poise models show {found.version.short}"
        yield f"poise pretrain RECIPE --from {found.version.uri}"
        yield "```"
    yield ""
    yield "### Versions"
    for version in _shown(versions, found):
        yield _line(version)
    if len(versions) > _ROWS:
        yield ""
        yield f"There are {len(versions)} versions. `poise models list` shows all of them."


def _shown(versions: Sequence[Version], found: Recommendation | None) -> list[Version]:
    """Returns versions to list: the recommended one, those with an alias, the newest others."""
    first = [found.version] if found else []
    first += [each for each in versions if each.aliases]
    by_number = {each.version: each for each in (*first, *versions)}
    return list(by_number.values())[:_ROWS]


def _line(version: Version) -> str:
    tags = version.tags
    facts = [
        " ".join(f"`@{alias}`" for alias in version.aliases),
        tags.get("verdict", "not judged"),
    ]
    if version.main_figure is not None:
        facts.append(f"{version.metric} {version.main_figure.with_interval}")
    facts += [plain(tags[key]) for key in ("backbone", "dataset") if key in tags]
    return f"- **{version.version}**: {', '.join(fact for fact in facts if fact)}"
