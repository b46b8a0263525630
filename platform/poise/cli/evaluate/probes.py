"""`poise evaluate linear`, `attentive` and `finetune`: what can be learned from a backbone.

In: what was typed. Out: an ``Asked``. Next: ``poise.cli.evaluate.probe_run``, which carries it out.
"""

from typing import Annotated

import typer

from poise.cli.evaluate.options import JsonOption, RayOption
from poise.cli.evaluate.probe_run import Asked, conduct

ModelArgument = Annotated[
    str | None, typer.Argument(help="Folder of a backbone package, or models:/NAME/VERSION.")
]
DatasetArgument = Annotated[str | None, typer.Argument(help="Labelled prepared dataset to score.")]
SettingsArgument = Annotated[
    list[str] | None, typer.Argument(help="Changes to the protocol: training.epochs=20 …")
]
TrainOption = Annotated[
    str | None,
    typer.Option(help="Labelled dataset to learn from; default: what the model was trained on."),
]
NameOption = Annotated[str | None, typer.Option(help="Of the run, where images are streamed.")]
ResumeOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Finish the interrupted run of this name.")
]


def linear(
    model: ModelArgument = None,
    dataset: DatasetArgument = None,
    settings: SettingsArgument = None,
    train: TrainOption = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="What to classify: cls, mean, cls_mean, last_4, cp1 … cp4, attn_lcte, attn_mn, "
            "pooled. May be given several times; one pass serves all. Default: what k-NN reads; "
            "for dino-v1, as published, last_4 or, of wide models, cls_mean."
        ),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="cached-v1 (quick), or as published: dino-v1, mae-v1.")
    ] = "cached-v1",
    name: NameOption = None,
    resume: ResumeOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train linear classifiers on the frozen backbone, a grid of learning rates at once.

    The learning rate is chosen on images held out of the training set, never on the test set.

    Example: poise evaluate linear models:/shapes-vit/1 data/shapes-test --features cls
    """
    typed = model, dataset, settings or (), train, name, resume, ray, as_json
    conduct(Asked("linear", protocol, *typed, features or ()))


def attentive(
    model: ModelArgument = None,
    dataset: DatasetArgument = None,
    settings: SettingsArgument = None,
    train: TrainOption = None,
    protocol: Annotated[
        str, typer.Option(help="cached-v1 (keeps all tokens), or abmilp-v1 (streams images).")
    ] = "cached-v1",
    name: NameOption = None,
    resume: ResumeOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train AbMILP poolings of the frozen tokens, each with its linear classifier.

    Variants: objective.abmilp.depth=2 objective.abmilp.self_attention=both …

    Example: poise evaluate attentive models:/shapes-mae/1 data/shapes-test
    """
    typed = model, dataset, settings or (), train, name, resume, ray, as_json
    conduct(Asked("attentive", protocol, *typed))


def finetune(
    model: ModelArgument = None,
    dataset: DatasetArgument = None,
    settings: SettingsArgument = None,
    train: TrainOption = None,
    name: NameOption = None,
    resume: ResumeOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the whole backbone on labels (protocol finetune/mae-v1).

    Example: poise evaluate finetune models:/shapes-mae/1 data/shapes-test training.epochs=20
    """
    typed = model, dataset, settings or (), train, name, resume, ray, as_json
    conduct(Asked("finetune", "mae-v1", *typed))
