# SPDX-License-Identifier: Apache-2.0
"""Let the threads of an OpenStack service share one SQLite file without losing requests.

SQLite refuses a write at once, whatever the timeout, if the transaction has read before and another
one wrote in between. So transactions that will write take SQLite's write lock when they begin. Three
things make that work:

- oslo.db knows which transactions write (``enginefacade.writer``) and only marks its session.
  ``_mark`` marks the connection as well, by an execution option that ``_begin`` reads.
- Writers of one process wait for each other in Python and not in SQLite: a green thread that blocks
  in SQLite also stops the green thread it waits for.
- A thread that begins a second transaction while its first is open (another context, another
  session) must not wait for itself. The second begins as a reader, with a warning that has the stack;
  a write in it would fail. No service has done that so far.

Readers need none of this, because ``databases`` turns on WAL in the files.

oslo.db opens a file for each transaction. That is a fifth of what a request costs Keystone, so a pool keeps the
connections. This module imports nothing of the services.
"""

from __future__ import annotations

import logging
import threading
import time
import types
from typing import Any

LOG = logging.getLogger(__name__)
WRITES = 'lab_writes'
TURN = 'lab_turn'
PATIENCE_SECONDS = 60


class Turn:
    """The right to write to one database file, which one thread has at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._owner: int | None = None

    def is_mine(self) -> bool:
        return self._owner == threading.get_ident()

    def take(self) -> None:
        begun = time.monotonic()
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            LOG.error('Still no turn to write to %s after %s s', self.name, PATIENCE_SECONDS)
            raise TimeoutError(f'no turn to write to {self.name}')
        self._owner = threading.get_ident()
        waited = time.monotonic() - begun
        if waited > 5:
            LOG.warning('Waited %.1f s for a turn to write to %s', waited, self.name)

    def give_back(self) -> None:
        self._owner = None
        self._lock.release()


class Turns:
    """The turns of all database files."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, Turn] = {}

    def of(self, name: str) -> Turn:
        with self._lock:
            return self._turns.setdefault(name, Turn(name))


TURNS = Turns()


def _connect(dbapi_connection: Any, record: Any) -> None:
    if type(dbapi_connection).__module__ != 'sqlite3':
        return
    for pragma in ('busy_timeout = 60000', 'synchronous = OFF'):
        dbapi_connection.execute(f'PRAGMA {pragma}').close()


def _begin(connection: Any) -> None:
    """Begin a transaction that will write with a write lock, and mark the connection so that oslo.db begins none."""
    if connection.dialect.name != 'sqlite' or 'in_transaction' in connection.info:
        return
    if not connection.get_execution_options().get(WRITES):
        return
    turn = TURNS.of(str(connection.engine.url.database))
    if turn.is_mine():
        LOG.warning('A transaction within a transaction on %s', turn.name, stack_info=True)
        return
    if TURN not in connection.info:
        turn.take()
        connection.info[TURN] = turn
    connection.exec_driver_sql('BEGIN IMMEDIATE')
    connection.info['in_transaction'] = True


def _checkin(dbapi_connection: Any, record: Any) -> None:
    # The pool has rolled back what was still open.
    record.info.pop('in_transaction', None)
    turn = record.info.pop(TURN, None)
    if turn is not None:
        turn.give_back()


def _mark(factory_class: Any, writer: Any) -> None:
    """Let enginefacade's writers use connections with the execution option ``WRITES``."""
    create_session = factory_class._create_session
    create_connection = factory_class._create_connection

    def marked_session(self: Any, mode: Any, bind: Any = None) -> Any:
        if mode is writer and bind is None:
            if not self._started:
                self._start()
            bind = self._writer_engine.execution_options(**{WRITES: True})
        return create_session(self, mode, bind)

    def marked_connection(self: Any, mode: Any) -> Any:
        connection = create_connection(self, mode)
        return connection.execution_options(**{WRITES: True}) if mode is writer else connection

    factory_class._create_session = marked_session
    factory_class._create_connection = marked_connection


def _keep_connections() -> None:
    """Let oslo.db use a pool without a limit for files."""
    from oslo_db.sqlalchemy import engines
    from sqlalchemy import pool

    class FilePool(pool.QueuePool):
        def __init__(self, creator: Any, **options: Any) -> None:
            super().__init__(creator, **{**options, 'max_overflow': -1})

    engines.pool = types.SimpleNamespace(
        QueuePool=pool.QueuePool,
        SingletonThreadPool=pool.SingletonThreadPool,
        StaticPool=pool.StaticPool,
        NullPool=FilePool,
    )


def install() -> None:
    """Add listeners for every engine that this process creates."""
    _keep_connections()
    from oslo_db.sqlalchemy import enginefacade
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import Pool

    event.listen(Pool, 'connect', _connect)
    event.listen(Pool, 'checkin', _checkin)
    event.listen(Engine, 'begin', _begin)
    _mark(enginefacade._TransactionFactory, enginefacade._WRITER)
