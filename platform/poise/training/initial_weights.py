"""The start of a run from a trained backbone.

In: a new objective, and the backbone to start from. Out: the objective with its weights. Next:
``poise.training.on_worker``, which trains it. A run that goes on from a checkpoint does not come
here, because the checkpoint has all its weights.
"""

from poise.config.errors import PoiseError
from poise.models.checksums import WEIGHTS_FILE, verify_package
from poise.models.package import load_backbone
from poise.objectives.base import Objective
from poise.training.spec import InitialWeights

_SHOWN_CHARACTERS = 12


def begin_with(objective: Objective, start: InitialWeights) -> None:
    """Puts the trained backbone into the objective: into student and teacher, or into the encoder.

    Raises:
        PoiseError: the package is missing or damaged, or holds other weights than when the run was
            begun.
    """
    check_weights(start)
    backbone, _ = load_backbone(start.package)
    objective.begin_with(backbone)


def check_weights(start: InitialWeights) -> None:
    """Refuses a package that was replaced since the run was begun.

    Raises:
        PoiseError: the message names both checksums and the ways out.
    """
    found = str(verify_package(start.package)[WEIGHTS_FILE]["sha256"])
    if found != start.weights_sha256:
        raise PoiseError(
            f"{start.package}: its weights (SHA-256 {found[:_SHOWN_CHARACTERS]}…) are not those "
            f"that the run was begun with ({start.weights_sha256[:_SHOWN_CHARACTERS]}…); put that "
            "package back, or start a run of another --name"
        )
