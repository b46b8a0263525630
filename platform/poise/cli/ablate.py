"""``poise ablate``: compares every setting with the baseline, over several seeds."""

from poise.cli.study.command import study_command

command = study_command(
    "ablate",
    """Compare the settings of a SPACE with a baseline.

    A space is a YAML file that names a recipe and values of some hyperparameters. A setting is one
    combination of these values, and every setting runs with every seed. The settings are all
    combinations. With `design: one_at_a_time`, they are the baseline, and settings that differ from
    the baseline in one value. The baseline has the recipe's own values, or the values of the
    space's `baseline`. Trials with the same seed see the same images and the same crops, so their
    differences are paired. All settings run with the first seed, then all with the second, and so
    on. So you can compare the settings even if the study is interrupted. With fewer than three
    seeds, the results are not evidence.

    The best healthy backbone is registered. You may interrupt the study at any time. The same
    command with --resume continues it. The exit status is 3 if a trial ended with an error.

    Example: poise ablate search_spaces/dino_sharpening_centering.yaml seeds=[0,1,2]

    Example: poise ablate --extend NAME seeds=[0,1,2,3,4]
    """,
)
