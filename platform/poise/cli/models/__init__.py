"""`poise models`: finds, compares, promotes, imports and exports registered backbones.

In: arguments. Out: tables, pages and packages. Next: one module for each sub-command, and
``poise.tracking.registry``.
"""

from collections.abc import Callable

import typer

from poise.cli.models.add_register import add_register_command
from poise.cli.models.compare import compare_command
from poise.cli.models.diff import diff_command
from poise.cli.models.importing import export_command, import_command
from poise.cli.models.lineage import lineage_command
from poise.cli.models.list_versions import list_command
from poise.cli.models.promote import promote_command
from poise.cli.models.pull import pull_command
from poise.cli.models.remove_unused import gc_command
from poise.cli.models.show import show_command

_EPILOG = """\b
Examples:
  poise models list --verdict healthy --sort eval/knn_top1
  poise models promote scenes-vit/3 --to production --why "best k-NN"
  poise models pull scenes-vit@production scenes-vit

A version is written NAME/VERSION or NAME@ALIAS. NAME alone is the newest one.

\b
Environment variables:
  MLFLOW_TRACKING_URI  MLflow store. Default: mlflow.db in POISE_HOME
  POISE_HOME           Folder of runs and models. Default: runs

\b
Exit statuses:
  0  done
  2  a mistake, a failed gate of promote, or a model that gc could not delete
"""

app = typer.Typer(
    help="Find, compare, promote, import and export registered backbones.",
    no_args_is_help=True,
    epilog=_EPILOG,
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_command,
    "show": show_command,
    "compare": compare_command,
    "diff": diff_command,
    "lineage": lineage_command,
    "promote": promote_command,
    "import": import_command,
    "export": export_command,
    "pull": pull_command,
    "add-register": add_register_command,
    "gc": gc_command,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
