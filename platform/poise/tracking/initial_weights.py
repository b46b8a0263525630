"""Tags for the trained model that a run started from.

In: the entry ``initial_weights`` of a package's lineage. Out: tags of the run and of its registered
versions. Next: ``poise.tracking.registry.registration``.
"""

from collections.abc import Mapping
from typing import Any

ENTRY = "initial_weights"
"""Name of the entry about initial weights in the lineage of a package. The names of the MLflow tags
about initial weights begin with it.
"""

TAGS = (ENTRY, f"{ENTRY}_named", f"{ENTRY}_sha256", f"{ENTRY}_origin")
"""Names of the MLflow tags about initial weights, without the prefix ``poise.``."""

_KNOWN = ("imported_from", "trained_by", "run_id", "recipe", "dataset_name")


def start_tags(entry: Mapping[str, Any]) -> dict[str, str]:
    """Makes MLflow tags about initial weights: exact model, typed name, checksum and history."""
    tags = {ENTRY: str(entry["resolved"]), f"{ENTRY}_sha256": str(entry["weights_sha256"])}
    if entry.get("reference") not in (None, entry["resolved"]):
        tags[f"{ENTRY}_named"] = str(entry["reference"])
    own = entry.get("lineage", {})
    words = [f"{key}={own[key]}" for key in _KNOWN if own.get(key)]
    before = own.get(ENTRY)
    words += [f"started from {before['resolved']}"] if before else []
    return tags | ({f"{ENTRY}_origin": ", ".join(words)} if words else {})
