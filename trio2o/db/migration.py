# SPDX-License-Identifier: Apache-2.0
"""The schema's revisions: bring a database up to date, and say where it is.

A revision has a `phase`. What it does in `expand` the release before does not notice, so it is run
while that release still serves; `contract` takes away what only that release used, so it is run
when none of its services is left. Keystone's and Neutron's upgrades without downtime have it so.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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

EXPAND = 'expand'
CONTRACT = 'contract'

#: Alembic's environment, with the revisions under it.
SCRIPTS = os.path.join(os.path.dirname(__file__), 'migrations')


def alembic_config() -> alembic.config.Config:
    """Alembic's configuration, without any database in it."""
    config = alembic.config.Config()
    config.set_main_option('script_location', SCRIPTS.replace('%', '%%'))
    return config


@dataclass(frozen=True)
class Revision:
    """One step of the schema. :ivar phase: EXPAND or CONTRACT"""

    id: str
    phase: str = EXPAND


def history() -> list[Revision]:
    """All revisions, the first one first."""
    scripts = alembic.script.ScriptDirectory.from_config(alembic_config()).walk_revisions()
    newest_first = [Revision(script.revision, getattr(script.module, 'phase', EXPAND)) for script in scripts]
    return newest_first[::-1]


def revisions() -> list[str]:
    """The names of all revisions, the first one first."""
    return [revision.id for revision in history()]


def pending(known: Sequence[Revision], current: str | None) -> list[Revision]:
    """What a database at a revision has not seen yet.

    :raises Unusable: it has seen more than this program knows
    """
    if current is None:
        return list(known)
    places = [place for place, revision in enumerate(known) if revision.id == current]
    if not places:
        raise Unusable(f'the database is at revision {current}, which this release does not know; use a later one')
    return list(known[places[0] + 1 :])


def phase_end(known: Sequence[Revision], current: str | None, phase: str) -> str | None:
    """The revision that ends a phase begun where the database is; None if the phase has nothing to do.

    :raises Unusable: the other phase comes first
    """
    left = pending(known, current)
    end = None
    for revision in left:
        if revision.phase != phase:
            break
        end = revision.id
    if end is None and any(revision.phase == phase for revision in left):
        if phase == CONTRACT:
            raise Unusable(f'revision {left[0].id} comes first: run db_sync --expand, and upgrade the services')
        raise Unusable(
            f'revision {left[0].id} of an earlier release comes first: run db_sync --contract when none of its '
            'services runs any more'
        )
    return end


def upgrade(database: cfg.ConfigOpts | Database, revision: str = 'head') -> None:
    """Bring the database up to a revision; nothing happens when it is there.

    :raises Unusable: no server, or no such revision
    """
    config = alembic_config()
    # A connection, and not a URL: its listeners make SQLite and MySQL behave, and a password
    # with a percent sign survives.
    with connected(database) as connection:
        config.attributes['connection'] = connection
        alembic.command.upgrade(config, revision)


def run_phase(database: cfg.ConfigOpts | Database, phase: str) -> None:
    """Bring the database through one phase of an upgrade; nothing happens when it is through.

    :raises Unusable: no server, or the other phase comes first
    """
    end = phase_end(history(), version(database), phase)
    if end is not None:
        upgrade(database, end)


def version(database: cfg.ConfigOpts | Database) -> str | None:
    """The revision the database is at; None when it has never been migrated.

    :raises Unusable: no server
    """
    with connected(database) as connection:
        context = alembic.runtime.migration.MigrationContext.configure(connection)
        return context.get_current_revision()


def head() -> str:
    """The newest revision this program knows."""
    return revisions()[-1]


@contextlib.contextmanager
def _tables_may_be_rebuilt(connection: sqlalchemy.Connection) -> Iterator[None]:
    """Allow SQLite to alter tables: it copies a table and drops the old one, which foreign keys would forbid."""
    if connection.dialect.name != 'sqlite':
        yield
        return
    raw: Any = connection.connection.dbapi_connection
    raw.execute('PRAGMA foreign_keys = OFF')
    try:
        yield
    finally:
        raw.execute('PRAGMA foreign_keys = ON')


@contextlib.contextmanager
def connected(database: cfg.ConfigOpts | Database) -> Iterator[sqlalchemy.Connection]:
    """A connection to change the schema by.

    :raises Unusable: no server, or what is done over it fails
    """
    try:
        db = database if isinstance(database, Database) else Database(database)
        with db.engine.connect() as connection, _tables_may_be_rebuilt(connection):
            yield connection
    except (db_exc.DBError, sqlalchemy.exc.SQLAlchemyError, alembic.util.CommandError) as error:
        raise Unusable(str(error)) from error
