"""``poise ablate``: runs every listed setting with every seed, and compares with the baseline."""

from poise.cli.study.command import study_command

command = study_command(
    "ablate",
    """Compare the settings of a SPACE with a baseline.

    Every setting runs with every seed. The settings are all combinations of the space's values.
    With `design: one_at_a_time` they are the baseline, and each other value alone. The baseline is
    the recipe's own setting, or the space's `baseline`. Trials with the same seed see the same
    images and the same crops, so their differences are paired. All settings run with the first
    seed, then with the next, so an interrupted study can still be compared. With fewer than three
    seeds, the results are not evidence.

    The best healthy backbone is registered. You may interrupt the study at any time. The same
    command with --resume continues it. The exit status is 3 if a trial failed.

    Example: poise ablate search_spaces/dino_sharpening_centering.yaml seeds=[0,1,2]

    Example: poise ablate --extend NAME seeds=[0,1,2,3,4]
    """,
)
