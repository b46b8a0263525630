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

app = typer.Typer(
    help="Find, compare, promote, import and export registered backbones.", no_args_is_help=True
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
