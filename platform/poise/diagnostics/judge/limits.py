"""The limits that decide between the kinds of verdict.

In: nothing. Out: ``Limits``. Next: all rules in ``poise.diagnostics.judge``, and
``poise.diagnostics.logs``, which adapts a few limits to logs of other programs.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """All limits of the judgement. Shares of entropy, information and KL are shares of ln K.

    ``docs/decisions/0007-verdict.md`` gives the origin of each limit and how it was tested.
    """

    no_information_share: float = 0.01
    """Mutual information of image and prototype below this share of ln K counts as zero."""

    few_prototypes_share: float = 0.2
    """A marginal entropy below this share of ln K is the single-prototype collapse. The whole batch
    then shares K^0.2 prototypes (4 of 1024, 9 of 65536). Mutual information alone would find this
    collapse late or never: without centering, a few images still move to a second prototype long
    after the collapse.
    """

    partial_prototypes_share: float = 0.4
    """A marginal entropy (entropy of the batch's mean assignment) below this share of ln K, but
    above ``few_prototypes_share``, is a partial collapse. The batch then shares K^0.4 prototypes
    (16 of 1024, 84 of 65536).
    """

    few_prototypes_share_of_batch: float = 0.33
    """Replaces ``few_prototypes_share`` in a small batch, if it gives the lower limit. It is a
    share of ln(images in a batch). If each image is on one prototype, a batch cannot use more
    prototypes than it has images.
    """

    partial_prototypes_share_of_batch: float = 0.5
    """Replaces ``partial_prototypes_share`` in a small batch, if it gives the lower limit. It is a
    share of ln B for B images in a batch, so 0.5 means √B prototypes.
    """

    border_entropy_share: float = 0.5
    """Border between the two collapses in which all images get the same assignment. If the entropy
    of an assignment is above this share of ln K (√K prototypes), the collapse is uniform. Below
    this share, it is a single prototype.
    """

    fading_information_share: float = 0.005
    """Information fades if it is below this share of ln K, continues to fall, and KL is below
    ``no_divergence_share``. The limit applies to a teacher that has never distinguished images.
    Then nothing can make teacher and student differ again.
    """

    no_divergence_share: float = 0.01
    """Teacher and student count as equal if the KL divergence between them is below this share of
    ln K.
    """

    fading_factor: float = 0.6
    """The mutual information fades if it is below this multiple of an earlier value: its value at
    the first logged step of the collapse.
    """

    vanished_factor: float = 0.01
    """The mutual information also fades if it is below this multiple of its highest value in the
    run.
    """

    rebound_factor: float = 1.25
    """Mutual information no longer fades if it is above this multiple of its lowest value. A
    partial collapse heals if the marginal entropy is above this multiple of its recent lowest
    value. Forgetting heals if the largest loss of accuracy is above this multiple of the latest
    loss.
    """

    lost_rank_share: float = 0.25
    """A dimensional collapse is a RankMe (effective rank of the features) below this share of its
    first value.
    """

    exploded_factor: float = 2.0
    """A loss has exploded if it is above this multiple of both its first value and the loss of an
    untrained model.
    """

    stuck_loss_share: float = 0.9
    """Lower end of the range that counts as "at ln K". A run can be stuck only if its cross-entropy
    is above this share of ln K at every logged step.
    """

    stuck_loss_most: float = 1.1
    """Upper end of the range that counts as "at ln K". If the cross-entropy is above this share of
    ln K, the student predicts wrong prototypes and is not stuck.
    """

    resting_share: float = 0.002
    """A loss rests at ln K if it is at least ln K minus this share of ln K, and at most the share
    ``stuck_loss_most`` of ln K. The judge uses this limit if the teacher's metrics were not logged.
    """

    near_zero_share: float = 0.1
    """A loss below this share of ln K counts as 0. The judge uses this limit if the teacher's
    metrics were not logged.
    """

    stuck_kl_factor: float = 0.8
    """A student does not follow its teacher if KL has never been below this multiple of the first
    KL. In a healthy run KL falls to half during the warm-up.
    """

    min_share_of_plan_stuck: float = 0.25
    """Share of the planned steps in which no run is called stuck, because the student may still
    begin to follow its teacher. If the learning rate's warm-up is longer, the warm-up counts
    instead.
    """

    swinging_loss_share: float = 1.05
    """If the cross-entropy is above this share of ln K, the student predicts its teacher worse than
    an untrained student.
    """

    swinging_share: float = 0.2
    """A run swings if its cross-entropy is above ``swinging_loss_share`` of ln K at this share of
    its logged steps or more.
    """

    min_share_of_plan_swinging: float = 0.25
    """A run must swing for at least this share of its planned steps to be called swinging."""

    unmoved_teacher_share: float = 0.01
    """A teacher counts as unmoved if its weights have moved less than this share of the way from
    their start to the student's weights.
    """

    moved_distance: float = 0.001
    """Weights count as moved if their distance from their start is larger than this value. The
    distance is divided by the norm of the teacher's weights. A teacher cannot follow a student that
    has not moved.
    """

    min_share_of_plan_weights: float = 0.25
    """Share of the planned steps, at the start of a run, in which the teacher's weights are not
    judged. In these steps the teacher may not have moved yet, or may still equal its student.
    """

    nothing_explained_share: float = 0.01
    """A decoder predicts the mean if it explains less than this share of the variance of hidden
    patches.
    """

    constant_prediction_share: float = 0.01
    """Predictions are constant if their standard deviation across patches is below this share of
    the standard deviation of the patches.
    """

    min_observations: int = 3
    """Smallest number of logged steps for which a verdict's condition must hold. They are the run's
    last logged steps.
    """

    min_share_of_steps: float = 0.1
    """Share of the run's steps so far for which a verdict's condition must have held."""

    most_share_of_plan: float = 0.05
    """Largest duration that ``min_share_of_steps`` may require, as a share of the planned steps."""

    contrary_share: float = 0.05
    """Share of the logged steps at which a verdict's condition need not hold, because in long runs
    single steps are exceptions.
    """

    min_share_of_plan_lasting: float = 0.02
    """Share of the planned steps for which a collapse must have lasted before it is reported."""

    min_share_of_plan_partial: float = 0.1
    """Replaces ``min_share_of_plan_lasting`` for a partial collapse, which may heal if K is small.
    """

    settling_steps: int = 24
    """Number of first steps without verdicts. In these steps only divergence is reported."""

    settling_memories: float = 3
    """Number of first steps without verdicts on few prototypes, as a multiple of the number of
    steps over which the centre averages. The centre begins at 0. After three such numbers of steps,
    this 0 has a weight of 5 % in the average. Before the centre has reached the teacher's mean, few
    prototypes may win.
    """

    min_observations_from_start: int = 10
    """Replaces ``min_observations`` for a run that may not have begun to learn. In such a run the
    teacher's mutual information has never risen, or the decoder has never explained any variance.
    """

    min_share_of_plan: float = 0.5
    """Share of the planned steps in which a run that has not begun to learn is not called collapsed
    yet.
    """

    min_share_of_plan_fading: float = 0.08
    """Replaces ``min_share_of_plan`` if the teacher's mutual information fades from the start."""

    rising_factor: float = 2.0
    """A value rises if it grows by at least this factor. Such values are the mutual information,
    and the share of variance that a decoder explains.
    """

    noise_share: float = 0.1
    """A value rises only if it is also above this share of another limit: the limit below which the
    value counts as zero.
    """

    forgotten_share: float = 0.1
    """A run forgets if it has lost at least this share of the k-NN accuracy of its starting
    weights. The lower end of the loss's 95 % interval decides.
    """

    min_evaluations_forgetting: int = 2
    """Smallest number of evaluations, including the last one, at which the accuracy must be lost.
    """

    min_share_of_plan_forgetting: float = 0.1
    """Share of the planned steps for which the accuracy must have been lost. At the last planned
    step, one evaluation is enough.
    """

    copied_gap: float = 1.0e-9
    """A teacher is a copy of its student if the distance between their weights is below this value.
    The distance is divided by the norm of the teacher's weights.
    """

    wild_view_value: float = 100.0
    """Normalised pixels with a larger absolute value are wrong. Usual absolute values are below 10.
    """


DEFAULT_LIMITS = Limits()
