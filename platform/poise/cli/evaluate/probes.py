"""`poise evaluate linear`, `attentive` and `finetune`: train on a backbone and measure accuracy.

In: the arguments of a command. Out: an ``Asked``. Next: ``poise.cli.evaluate.probe_run``, which
carries it out.
"""

from poise.cli.evaluate.probe_run import conduct
from poise.cli.evaluate.requests import Asked, AttentiveRequest, LinearRequest, ProbeRequest
from poise.cli.option_groups import options_of


@options_of(LinearRequest)
def linear(request: LinearRequest) -> None:
    """Train linear classifiers on the frozen backbone.

    A grid of learning rates trains at the same time. Images that are held out of the training set
    choose the learning rate; the test set never does.

    Example: poise evaluate linear models:/shapes-vit/1 data/shapes-test --features cls
    """
    conduct(Asked("linear", request.protocol, request, request.features or ()))


@options_of(AttentiveRequest)
def attentive(request: AttentiveRequest) -> None:
    """Train attention poolings (AbMILP) of the frozen tokens, each with its own linear classifier.

    Examples of variants: objective.abmilp.depth=2 objective.abmilp.self_attention=both

    Example: poise evaluate attentive models:/shapes-mae/1 data/shapes-test
    """
    conduct(Asked("attentive", request.protocol, request))


@options_of(ProbeRequest)
def finetune(request: ProbeRequest) -> None:
    """Train the whole backbone on labels (protocol finetune/mae-v1).

    Example: poise evaluate finetune models:/shapes-mae/1 data/shapes-test training.epochs=20
    """
    conduct(Asked("finetune", "mae-v1", request))
