"""Arguments that commands of several groups share.

In: nothing. Out: annotated types for the parameters of commands. Next: `poise evaluate`,
`poise models` and `poise embed`.
"""

from typing import Annotated

import typer

from poise.cli.completion import complete_model

PackageArgument = Annotated[
    str,
    typer.Argument(
        help="Folder of a backbone package, or models:/NAME/VERSION.",
        autocompletion=complete_model,
    ),
]
