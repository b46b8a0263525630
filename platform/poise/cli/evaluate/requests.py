"""Arguments and options of `poise evaluate linear`, `attentive` and `finetune`.

In: the command line. Out: a request. Next: ``poise.cli.evaluate.probes``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from poise.cli.completion import complete_dataset, complete_model
from poise.cli.evaluate.options import RayOption


@dataclass(frozen=True)
class ProbeRequest:
    """Arguments and options that `linear`, `attentive` and `finetune` share."""

    model: Annotated[
        str | None,
        typer.Argument(
            help="Folder of a backbone package, or models:/NAME/VERSION.",
            autocompletion=complete_model,
        ),
    ] = None
    dataset: Annotated[
        str | None,
        typer.Argument(help="Labelled prepared dataset to score.", autocompletion=complete_dataset),
    ] = None
    settings: Annotated[
        list[str] | None, typer.Argument(help="Changes to the protocol: training.epochs=20 …")
    ] = None
    train: Annotated[
        str | None,
        typer.Option(
            help="Labelled dataset to learn from. Default: the training set of the model.",
            autocompletion=complete_dataset,
        ),
    ] = None
    name: Annotated[
        str | None, typer.Option(help="Name of the run, for protocols that stream images.")
    ] = None
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Finish the interrupted run of this name.")
    ] = None
    ray: RayOption = None


@dataclass(frozen=True)
class LinearRequest(ProbeRequest):
    """Arguments and options of `poise evaluate linear`."""

    features: Annotated[
        list[str] | None,
        typer.Option(
            help="Features to classify: cls, mean, cls_mean, last_4, cp1 … cp4, attn_lcte, "
            "attn_mn, pooled. May be given several times; one pass computes all of them. Default: "
            "the feature that k-NN reads. With dino-v1, as published: last_4, or cls_mean for "
            "wide models."
        ),
    ] = None
    protocol: Annotated[
        str, typer.Option(help="cached-v1 (quick), or as published: dino-v1 or mae-v1.")
    ] = "cached-v1"


@dataclass(frozen=True)
class AttentiveRequest(ProbeRequest):
    """Arguments and options of `poise evaluate attentive`."""

    protocol: Annotated[
        str, typer.Option(help="cached-v1 (keeps all tokens), or abmilp-v1 (streams images).")
    ] = "cached-v1"


@dataclass(frozen=True)
class Asked:
    """Request of a command, with the name of the command."""

    kind: str
    """Name of the command: linear, attentive or finetune."""

    protocol: str
    request: ProbeRequest
    features: Sequence[str] = ()
