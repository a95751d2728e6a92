# SPDX-License-Identifier: Apache-2.0
"""Revisions of the schema: read the revision of a database, and upgrade it.

Each revision has a `phase`, as in Keystone and Neutron, so that an upgrade needs no downtime. Changes of the phase
`expand` do not affect services of the previous release, so they are made while those run. The phase `contract` removes
what only the previous release uses, so it is run when none of its services runs any more.
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

from trio2o.db.database import Database
from trio2o.db.errors import Unusable

EXPAND = 'expand'
CONTRACT = 'contract'

#: Alembic's environment, with the revisions under it.
SCRIPTS = os.path.join(os.path.dirname(__file__), 'migrations')


def alembic_config() -> alembic.config.Config:
    """Return Alembic's configuration, which names no database."""
    config = alembic.config.Config()
    config.set_main_option('script_location', SCRIPTS.replace('%', '%%'))
    return config


@dataclass(frozen=True)
class Revision:
    """One revision of the schema.

    :ivar phase: EXPAND or CONTRACT
    """

    id: str
    phase: str = EXPAND


def history() -> list[Revision]:
    """List all revisions, the oldest first."""
    scripts = alembic.script.ScriptDirectory.from_config(alembic_config()).walk_revisions()
    newest_first = [Revision(script.revision, getattr(script.module, 'phase', EXPAND)) for script in scripts]
    return newest_first[::-1]


def revisions() -> list[str]:
    """List the ids of all revisions, the oldest first."""
    return [revision.id for revision in history()]


def pending(known: Sequence[Revision], current: str | None) -> list[Revision]:
    """List the revisions to which a database still has to be upgraded.

    :param current: revision of the database; None if it has no tables yet
    :raises Unusable: this release does not know the revision of the database
    """
    if current is None:
        return list(known)
    ids = [revision.id for revision in known]
    if current not in ids:
        raise Unusable(f'the database is at revision {current}, which this release does not know; use a later release')
    return list(known[ids.index(current) + 1 :])


def phase_end(known: Sequence[Revision], current: str | None, phase: str) -> str | None:
    """Return the last revision to upgrade to in a phase; None if no revision of the phase is left.

    :param current: revision of the database; None if it has no tables yet
    :raises Unusable: the other phase has to be run first
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
    """Upgrade the database to a revision, unless it is already there.

    :raises Unusable: no server, or no such revision
    """
    config = alembic_config()
    # Alembic gets a connection and not a URL, so that the listeners of trio2o.db.database apply, and because a URL in
    # its configuration must not contain a percent sign.
    with connected(database) as connection:
        config.attributes['connection'] = connection
        alembic.command.upgrade(config, revision)


def run_phase(database: cfg.ConfigOpts | Database, phase: str) -> None:
    """Run one phase of an upgrade, unless it is complete.

    :raises Unusable: no server, or the other phase has to be run first
    """
    end = phase_end(history(), version(database), phase)
    if end is not None:
        upgrade(database, end)


def version(database: cfg.ConfigOpts | Database) -> str | None:
    """Return the revision of the database; None if it has no tables yet.

    :raises Unusable: no server
    """
    with connected(database) as connection:
        context = alembic.runtime.migration.MigrationContext.configure(connection)
        return context.get_current_revision()


def head() -> str:
    """Return the newest revision of this release."""
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
    """Connect to the database to change its schema.

    :raises Unusable: no server, or a statement in the block fails
    """
    try:
        db = database if isinstance(database, Database) else Database(database)
        with db.engine.connect() as connection, _tables_may_be_rebuilt(connection):
            yield connection
    except (db_exc.DBError, sqlalchemy.exc.SQLAlchemyError, alembic.util.CommandError) as error:
        raise Unusable(str(error)) from error
