"""Starts a run from the weights of a trained backbone.

In: a new objective, and the trained backbone. Out: the objective with the backbone's weights. Next:
``poise.training.on_worker``, which trains the objective. A resumed run does not use this module,
because its checkpoint contains all weights.
"""

from poise.config.errors import PoiseError
from poise.models.checksums import WEIGHTS_FILE, verify_package
from poise.models.package import load_backbone
from poise.objectives.base import Objective
from poise.training.spec import InitialWeights

_SHOWN_CHARACTERS = 12


def begin_with(objective: Objective, start: InitialWeights) -> None:
    """Copies a trained backbone's weights to student and teacher (DINO) or to the encoder (MAE).

    Raises:
        PoiseError: the package is missing or damaged, or its weights have changed since the run
            began.
    """
    check_weights(start)
    backbone, _ = load_backbone(start.package)
    objective.begin_with(backbone)


def check_weights(start: InitialWeights) -> None:
    """Raises an error if the package was replaced since the run began.

    Raises:
        PoiseError: the checksums differ; the message names both and the possible fixes.
    """
    found = str(verify_package(start.package)[WEIGHTS_FILE]["sha256"])
    if found != start.weights_sha256:
        raise PoiseError(
            f"{start.package}: its weights (SHA-256 {found[:_SHOWN_CHARACTERS]}…) are not those "
            f"that the run was begun with ({start.weights_sha256[:_SHOWN_CHARACTERS]}…); put that "
            "package back, or start a run of another --name"
        )
