"""`poise evaluate linear`, `attentive` and `finetune`: train on a backbone and measure accuracy.

In: the arguments of a command. Out: an ``Asked``. Next: ``poise.cli.evaluate.probe_run``, which
runs the probe.
"""

from poise.cli.evaluate.probe_run import conduct
from poise.cli.evaluate.requests import Asked, AttentiveRequest, LinearRequest, ProbeRequest
from poise.cli.option_groups import options_of
from poise.cli.output import Output, prints


@prints
@options_of(LinearRequest)
def linear(request: LinearRequest) -> Output:
    """Train linear classifiers on the frozen backbone.

    One classifier per learning rate is trained, and all of them train at the same time. The best
    learning rate is chosen on held-out images of the training set, never on the test set.

    Example: poise evaluate linear models:/shapes-vit/1 data/shapes-test --features cls
    """
    return conduct(Asked("linear", request.protocol, request, request.features or ()))


@prints
@options_of(AttentiveRequest)
def attentive(request: AttentiveRequest) -> Output:
    """Train attention pooling (AbMILP) on the frozen tokens, with a linear classifier on top.

    Examples of variants: objective.abmilp.depth=2 objective.abmilp.self_attention=both

    Example: poise evaluate attentive models:/shapes-mae/1 data/shapes-test
    """
    return conduct(Asked("attentive", request.protocol, request))


@prints
@options_of(ProbeRequest)
def finetune(request: ProbeRequest) -> Output:
    """Train the whole backbone on labels (protocol finetune/mae-v1).

    Example: poise evaluate finetune models:/shapes-mae/1 data/shapes-test training.epochs=20
    """
    return conduct(Asked("finetune", "mae-v1", request))
