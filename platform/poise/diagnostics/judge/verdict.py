"""The kinds of verdict, and the limits that decide between them.

In: nothing. Out: ``Verdict`` and ``Limits``. Next: ``poise.diagnostics.judge.judge``, then the log,
the study's table and the registry, which accepts only healthy runs.
"""

from dataclasses import dataclass
from enum import StrEnum


class VerdictKind(StrEnum):
    """Kind of verdict on a run."""

    HEALTHY = "healthy"
    UNIFORM = "collapsed: uniform"
    SINGLE_PROTOTYPE = "collapsed: single prototype"
    PARTIAL_PROTOTYPES = "collapsed: partial prototypes"
    DIMENSIONAL = "collapsed: dimensional"
    PREDICTS_MEAN = "collapsed: predicts the mean"
    STUCK = "stuck at ln K"
    SWINGING = "swings above ln K"
    UNMOVED_TEACHER = "teacher does not move"
    COPIED_TEACHER = "teacher is the student"
    FORGETTING = "forgetting"
    DIVERGED = "diverged"
    UNDECIDED = "undecided"


FEW_PROTOTYPES = (VerdictKind.SINGLE_PROTOTYPE, VerdictKind.PARTIAL_PROTOTYPES)
"""Two stages of the collapse that centering prevents."""


@dataclass(frozen=True)
class Verdict:
    """Judgement of a run, with its reason."""

    kind: VerdictKind
    onset_step: int | None
    """First step from which the condition holds to the end; None if healthy or undecided."""

    evidence: str
    """One sentence with the numbers."""

    advice: str
    """What to try next. It is empty for a healthy run."""

    @property
    def collapsed(self) -> bool:
        """Whether the run collapsed, in any way."""
        return self.kind.startswith("collapsed")

    @property
    def condemned(self) -> bool:
        """Whether more training would be wasted."""
        return self.kind not in (VerdictKind.HEALTHY, VerdictKind.UNDECIDED)


@dataclass(frozen=True)
class Limits:
    """All limits of the judgement. Shares of entropy, information and KL are shares of ln K.

    ``docs/decisions/0007-verdict.md`` gives the origin of each limit and how it was tested.
    """

    no_information_share: float = 0.01
    """Mutual information below this share of ln K counts as zero."""

    few_prototypes_share: float = 0.2
    """A marginal entropy below this share of ln K is the single-prototype collapse. The whole batch
    then shares K^0.2 prototypes (4 of 1024, 9 of 65536). Mutual information alone would find this
    collapse late or never: without centering, a few images still move to a second prototype long
    after the collapse.
    """

    partial_prototypes_share: float = 0.4
    """A marginal entropy below this share of ln K, but above ``few_prototypes_share``, is a partial
    collapse. The batch then shares K^0.4 prototypes (16 of 1024, 84 of 65536).
    """

    few_prototypes_share_of_batch: float = 0.33
    """Replaces ``few_prototypes_share`` in a small batch, if it gives the lower limit. It is a
    share of ln(images in a batch). If each image is on one prototype, a batch cannot use more
    prototypes than it has images.
    """

    partial_prototypes_share_of_batch: float = 0.5
    """Replaces ``partial_prototypes_share`` in a small batch: √B prototypes for B images."""

    border_entropy_share: float = 0.5
    """Border between the two collapses without information. Entropy above this share of ln K (√K
    prototypes) is uniform; entropy below it is a single prototype.
    """

    fading_information_share: float = 0.005
    """Information fades if it is below this share of ln K, continues to fall, and KL is below
    ``no_divergence_share``. The limit applies to a teacher that has never distinguished images.
    Then nothing can make teacher and student differ again.
    """

    no_divergence_share: float = 0.01
    """If KL between teacher and student is below this share of ln K, they agree."""

    fading_factor: float = 0.6
    """Information fades if it is below this multiple of the value that it had when it first counted
    as zero.
    """

    vanished_factor: float = 0.01
    """Information also fades if it is below this multiple of its highest value in the run."""

    rebound_factor: float = 1.25
    """Information above this multiple of its lowest value no longer fades. In the same way, a
    partial collapse heals when the batch shares more prototypes than this multiple of their
    recent lowest number, and forgetting heals when the largest loss is above this multiple of the
    latest loss."""

    lost_rank_share: float = 0.25
    """RankMe below this share of its first value is dimensional collapse."""

    exploded_factor: float = 2.0
    """A loss has exploded if it is above this multiple of both its first value and the loss of an
    untrained model.
    """

    stuck_loss_share: float = 0.9
    """Lower end of "at ln K": a run is stuck if its cross-entropy is above this share of ln K at
    every step.
    """

    stuck_loss_most: float = 1.1
    """Upper end of "at ln K". If the cross-entropy is above this share, the student is wrong and
    not stuck.
    """

    stuck_kl_factor: float = 0.8
    """A student does not follow its teacher if KL has never been below this multiple of the first
    KL. In a healthy run KL falls to half during the warm-up.
    """

    min_share_of_plan_stuck: float = 0.25
    """Share of the planned steps that a student gets to follow its teacher. If the warm-up is
    longer, it gets the warm-up.
    """

    swinging_loss_share: float = 1.05
    """If the cross-entropy is above this share of ln K, the student predicts its teacher worse than
    an untrained student.
    """

    swinging_share: float = 0.2
    """A run swings if at least this share of its logged steps is above ``swinging_loss_share``."""

    min_share_of_plan_swinging: float = 0.25
    """A run must swing for at least this share of its planned steps to be called swinging."""

    unmoved_teacher_share: float = 0.01
    """A teacher does not move if it has moved less than this share of the way to its student."""

    moved_distance: float = 0.001
    """Weights have moved if their distance from the start is larger than this, divided by the norm
    of the teacher's weights. If the student has not moved, a teacher cannot follow it.
    """

    min_share_of_plan_weights: float = 0.25
    """Share of the planned steps that a teacher gets to move and to differ from its student."""

    nothing_explained_share: float = 0.01
    """A decoder predicts the mean if it explains less than this share of the variance of hidden
    patches.
    """

    min_observations: int = 3
    """Number of logged steps, at the end of the history, at which a condition must hold."""

    min_share_of_steps: float = 0.1
    """Share of the steps so far for which a condition must hold."""

    most_share_of_plan: float = 0.05
    """Largest share of the planned steps that ``min_share_of_steps`` may require."""

    contrary_share: float = 0.05
    """Share of the logged steps that may contradict a condition. Single steps of long runs do."""

    min_share_of_plan_lasting: float = 0.02
    """Share of the planned steps for which a collapse must have lasted."""

    min_share_of_plan_partial: float = 0.1
    """The same for a partial collapse, which may heal if K is small."""

    settling_steps: int = 24
    """Number of first steps without verdicts. In these steps only divergence is reported."""

    settling_memories: float = 3
    """The same for collapses on few prototypes, as a multiple of the number of steps over which the
    centre averages. The centre begins at 0; after three such times this 0 has a weight of 5 %.
    Before the centre has reached the teacher's mean, few prototypes may win.
    """

    min_observations_from_start: int = 10
    """Replaces ``min_observations`` for a run that may not have begun to learn: its information has
    never risen, or its decoder has never explained anything.
    """

    min_share_of_plan: float = 0.5
    """Share of the planned steps that such a run gets before it is called collapsed."""

    min_share_of_plan_fading: float = 0.08
    """The same for a teacher whose information fades from the start."""

    rising_factor: float = 2.0
    """Information, or the share that a decoder explains, rises if it grows by at least this factor.
    """

    noise_share: float = 0.1
    """A rising value must also be above this share of the limit below which it counts as zero."""

    forgotten_share: float = 0.1
    """A run forgets when the lower 95 % bound of what it lost is at least this share of its start's
    k-NN accuracy …"""

    min_evaluations_forgetting: int = 2
    """… at so many evaluations, up to the last one …"""

    min_share_of_plan_forgetting: float = 0.1
    """… which span this share of the planned steps. At the end of the plan one is enough."""

    copied_gap: float = 1.0e-9
    """A teacher is a copy of its student if their distance, divided by the norm of its weights, is
    below this.
    """

    wild_view_value: float = 100.0
    """Normalised pixels above this magnitude are wrong. Usual values are below 10."""


DEFAULT_LIMITS = Limits()
