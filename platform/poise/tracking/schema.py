"""Checks the version of a database's tables before MLflow can change them.

In: the address of a database. Out: nothing, or an error that says which MLflow to install. Next:
``poise.tracking.store``.
"""

from pathlib import Path

import mlflow
import sqlalchemy
from alembic.script import ScriptDirectory

from poise.config.errors import PoiseError
from poise.tracking.address import redacted, safe_line, sqlite_file

_VERSIONS = {"dc11669786a5": "3.17.2", "f4a9b2c7d1e6": "3.18.0"}
"""MLflow's version by its newest migration, for the versions that were tested."""


def check_schema(uri: str) -> None:
    """Raises an error if another version of MLflow made a database.

    A newer MLflow changes an older database even if it only opens it. So every process calls this
    function before it opens a database.

    Raises:
        PoiseError: the message says which version to install.
    """
    found = _revision(uri)
    if found is None or _VERSIONS.get(found) == mlflow.__version__:
        return  # without reading MLflow's 67 migration scripts, which takes 0.3 s
    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if found in scripts.get_heads():
        return
    maker = _VERSIONS.get(found)
    install = f"install mlflow=={maker}" if maker else "install the MLflow that made it"
    older = any(found == script.revision for script in scripts.walk_revisions())
    upgrade = f", or back it up and run `mlflow db upgrade {redacted(uri)}`" if older else ""
    raise PoiseError(
        f"{redacted(uri)}: has the schema of {'an older' if older else 'a newer'} MLflow "
        f"({found}; installed is {mlflow.__version__}); {install}{upgrade}"
    )


def _revision(uri: str) -> str | None:
    """Returns the migration of a database; None if the database is new."""
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        return None
    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                return None
            row = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version"))
            return str(row.scalar_one())
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        reason = safe_line(error)
        raise PoiseError(f"{redacted(uri)}: the MLflow store cannot be read: {reason}") from None
