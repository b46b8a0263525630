"""Checks the version of a database's tables before MLflow can change the tables.

In: the address of a database. Out: nothing, or an error that names the MLflow version to install.
Next: ``poise.tracking.store``.
"""

from pathlib import Path

import mlflow
import sqlalchemy

from poise.config.errors import PoiseError
from poise.config.redaction import redacted
from poise.tracking.address import safe_line, sqlite_file

_VERSIONS = {"dc11669786a5": "3.17.2", "f4a9b2c7d1e6": "3.18.0"}
"""Maps the id of a database's newest migration to the MLflow version that was tested with it."""

_PACKAGES: dict[str | None, str] = {"MySQLdb": "mysqlclient"}
"""Maps the name of a Python module to the name of its package, if the names differ."""


def check_schema(uri: str) -> bool:
    """Checks that this version of MLflow made a database, and that the tables exist.

    A newer MLflow changes an older database as soon as it opens it. So every process calls this
    function before it opens a database.

    Returns:
        Whether the database has the tables of this MLflow. A new database has no tables.

    Raises:
        PoiseError: another version made the database. The message names the version to install.
    """
    found = _revision(uri)
    if found is None or _VERSIONS.get(found) == mlflow.__version__:
        return found is not None  # without reading MLflow's 67 migration scripts: 0.3 s
    from alembic.script import ScriptDirectory  # this import takes 0.2 s

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if found in scripts.get_heads():
        return True
    maker = _VERSIONS.get(found)
    install = f"install mlflow=={maker}" if maker else "install the MLflow that made it"
    older = any(found == script.revision for script in scripts.walk_revisions())
    upgrade = f", or back it up and run `mlflow db upgrade {redacted(uri)}`" if older else ""
    raise PoiseError(
        f"{redacted(uri)}: has the schema of {'an older' if older else 'a newer'} MLflow "
        f"({found}; installed is {mlflow.__version__}); {install}{upgrade}"
    )


def _revision(uri: str) -> str | None:
    """Returns the id of a database's newest migration, or None if the database is new."""
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        return None
    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                if file is not None:
                    _check_empty(file, sqlalchemy.inspect(connection).get_table_names())
                return None
            row = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version"))
            return str(row.scalar_one())
    except ImportError as error:
        raise PoiseError(
            f"{redacted(uri)}: needs the Python package '{_PACKAGES.get(error.name, error.name)}', "
            "which is not installed; install it, or name another driver"
        ) from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        fix = "restore it from a backup, or move it away to begin an empty one"
        if file is None:
            fix = "start it, or correct MLFLOW_TRACKING_URI"
        reason = safe_line(error)
        raise PoiseError(
            f"{redacted(uri)}: the MLflow store cannot be read: {reason}; {fix}"
        ) from None


def _check_empty(file: Path, tables: list[str]) -> None:
    """Raises an error if the database belongs to another program.

    Otherwise MLflow would add its tables to that database.
    """
    if tables:
        raise PoiseError(
            f"{file}: is the database of another program (it has the table '{tables[0]}' and none "
            "of MLflow's versions); name another file in MLFLOW_TRACKING_URI"
        )
