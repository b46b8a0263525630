"""``poise ablate``: values crossed or changed one at a time, every seed, against the baseline."""

from poise.cli.study.command import study_command

command = study_command(
    "ablate",
    """Ablate: run every setting of a SPACE with each seed, and compare them with the baseline.

    Settings are all values of the space crossed or, with `design: one_at_a_time`, the baseline and
    each other value alone. The baseline is the setting of the recipe, or the space's `baseline`.
    Trials of one seed see the same images and the same crops, so that differences are paired. All
    settings run with the first seed, then with the next: what an interruption leaves can be
    compared. Fewer than three seeds prove nothing. As of a sweep, the best healthy backbone is
    registered.

    Example: poise ablate search_spaces/dino_sharpening_centering.yaml seeds=[0,1,2]

    Example: poise ablate --extend NAME seeds=[0,1,2,3,4]
    """,
)
