# SPDX-License-Identifier: Apache-2.0
"""The schema's revisions: bring a database up to date, and say where it is."""

import contextlib
import os
from collections.abc import Iterator

import alembic.command
import alembic.config
import alembic.runtime.migration
import alembic.script
import alembic.util
import sqlalchemy.exc
from oslo_config import cfg
from oslo_db import exception as db_exc

from trio2o.db.errors import Unusable
from trio2o.db.session import Database

_SCRIPTS = os.path.join(os.path.dirname(__file__), 'migrations')


def alembic_config() -> alembic.config.Config:
    """Alembic's configuration, without any database in it."""
    config = alembic.config.Config()
    config.set_main_option('script_location', _SCRIPTS.replace('%', '%%'))
    return config


def revisions() -> list[str]:
    """All revisions, the first one first."""
    scripts = alembic.script.ScriptDirectory.from_config(alembic_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


def upgrade(database: cfg.ConfigOpts | Database, revision: str = 'head') -> None:
    """Bring the database up to a revision; nothing happens when it is there.

    :raises Unusable: no server, or no such revision
    """
    config = alembic_config()
    # A connection, and not a URL: its listeners make SQLite and MySQL behave, and a password
    # with a percent sign survives.
    with _connection(database) as connection:
        config.attributes['connection'] = connection
        alembic.command.upgrade(config, revision)


def version(database: cfg.ConfigOpts | Database) -> str | None:
    """The revision the database is at; None when it has never been migrated.

    :raises Unusable: no server
    """
    with _connection(database) as connection:
        context = alembic.runtime.migration.MigrationContext.configure(connection)
        return context.get_current_revision()


def head() -> str:
    """The newest revision this program knows."""
    return revisions()[-1]


@contextlib.contextmanager
def _connection(database: cfg.ConfigOpts | Database) -> Iterator[sqlalchemy.Connection]:
    try:
        db = database if isinstance(database, Database) else Database(database)
        with db.engine.connect() as connection:
            yield connection
    except (db_exc.DBError, sqlalchemy.exc.SQLAlchemyError, alembic.util.CommandError) as error:
        raise Unusable(str(error)) from error
