"""`poise evaluate registers`: outlier patches and registers of models.

In: models and a prepared dataset. Out: figures, tables and pictures, logged to the runs that made
the models. Nothing comes after it.
"""

from poise.cli.evaluate.measured import EvaluationOptions, evaluate_models
from poise.cli.option_groups import options_of


@options_of(EvaluationOptions)
def registers(options: EvaluationOptions) -> None:
    """Find outlier patches, and what they and registers hold (protocol registers/poise-v1).

    Outliers are patches with norms of a group of their own. The command says how many there are,
    from which block on, where they sit, and whether they still hold their place and their pixels or
    the class of the whole image. It writes blocks.csv and pictures. With several models it also
    draws their maps side by side.

    Example: poise evaluate registers models:/no-registers/1 models:/registers/1 data/shapes-test
    """
    from poise.evaluation.outliers.measure import measure_registers

    evaluate_models("registers", options, measure_registers)
