"""Adds figures, the measured values of later evaluations, to registered versions.

In: the report of an evaluation, and the package that was measured. Out: the version's tag of
figures, and a new description. Next: ``poise models show`` and MLflow's page.
"""

from pathlib import Path

from poise.evaluation.measurement import Measurement
from poise.models.checksums import WEIGHTS_FILE, read_checksums
from poise.tracking.registry.changing import changing_registry
from poise.tracking.registry.description import describe
from poise.tracking.registry.fetch import read_files
from poise.tracking.registry.version import (
    FIGURES_TAG,
    Figures,
    RegisteredFigure,
    Version,
    written_figures,
)
from poise.tracking.registry.version_lookup import find_model, versions_of_run
from poise.tracking.store import Store, explained


def registered_figures(report: Measurement) -> dict[str, RegisteredFigure]:
    """Converts the values of an evaluation's report to measured values of a version."""
    return {
        name: RegisteredFigure(
            found.value, found.unit, found.low, found.high, report.protocol, report.dataset_name
        )
        for name, found in report.measured.items()
    }


def record_figures(store: Store, run_id: str, package: Path, figures: Figures) -> list[str]:
    """Adds figures to every version that has exactly this package.

    Args:
        store: store of the registry.
        run_id: id of the run that made the package.
        package: folder of the package that was measured. Another checkpoint of the same run has
            other weights, so its figures do not belong to the version.
        figures: figures by metric. An older figure of the same metric is replaced.

    Returns:
        References of the versions that got the figures.

    Raises:
        PoiseError: the store refuses the figures.
    """
    changed = [each for each in versions_of_run(store, run_id) if _has(store, each, package)]
    for version in changed:
        _add(store, version, figures)
    return [version.uri for version in changed]


def _has(store: Store, version: Version, package: Path) -> bool:
    checksums = read_checksums(package)
    if version.tags.get("weights_sha256") != checksums[WEIGHTS_FILE]["sha256"]:
        return False
    return read_files(store, version) == checksums  # an added register changes only the config


def _add(store: Store, version: Version, figures: Figures) -> None:
    """Adds measured values to a version. No other process with this ``POISE_HOME`` does so."""
    with changing_registry(), explained(f"{version.uri}: its figures were not stored"):
        known = find_model(store, version.uri).figures
        text = written_figures({**known, **figures})
        store.client.set_model_version_tag(version.name, str(version.version), FIGURES_TAG, text)
        describe(store, version.name, version.version)
