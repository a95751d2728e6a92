# SPDX-License-Identifier: Apache-2.0
"""Transactions on one database: `Database.reader()` and `Database.writer()`; `Database.rows()` reads without one.

Each `Database` has its own enginefacade, so that a process can use several. The other modules of this package contain
the statements. This one sets up connections so that all database servers behave alike:

- MySQL and MariaDB run with READ COMMITTED, which is PostgreSQL's default. With it, a transaction whose insert was
  ignored can read the row that another transaction has just committed.
- MariaDB and PostgreSQL end a statement that waits too long for a lock, and a transaction without statements, whose
  host may have lost its power: by default they wait for minutes, hours or for ever.
- A single statement that reads is executed on a connection in autocommit mode, from a pool of its own, and is all that
  is sent: no ping before it and no ROLLBACK after it. So such a read costs half as much, and transactions that wait
  for locks do not take its connections. Neither has a transaction that is repeated if its connection is lost, on a
  connection that was used just before.
- SQLite runs with a write-ahead log, and a writer takes the write lock when its transaction begins. A transaction that
  reads first and takes the lock later fails without waiting if another process has written in the meantime.

Transactions do not nest: a function that runs in the transaction of its caller takes the connection and not the
`Database`.
"""

import contextlib
import contextvars
import functools
import os
import random
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy
from oslo_config import cfg
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import enginefacade
from oslo_utils import timeutils
from sqlalchemy import event, pool
from sqlalchemy.dialects import plugins
from sqlalchemy.engine import Connection, CreateEnginePlugin, Engine
from sqlalchemy.sql import Executable

from trio2o.conf import database as database_options
from trio2o.db.errors import DatabaseBusy, UnfitText

Lock = contextlib.AbstractContextManager[Any]

_F = TypeVar('_F', bound=Callable[..., Any])

SQLITE_LOCK_SECONDS = 30.0
_LOCK_TIMEOUT = re.compile(r'\b1205\b.*Lock wait timeout exceeded|canceling statement due to lock timeout', re.DOTALL)
# The error codes of PostgreSQL and of MariaDB for a text that is longer than its column.
_PG_TOO_LONG, _MYSQL_TOO_LONG = '22001', 1406
# Execution options by which a SQLite connection knows, before its transaction begins, what it is used for.
_WRITES = {'trio2o_sqlite': 'writes'}
_READS_ONCE = {'trio2o_sqlite': 'reads once'}

# One lock for each SQLite file, for the writers of this process. Waiting in SQLite itself would block all green
# threads of eventlet, so that the one with SQLite's lock could never release it.
_sqlite_write_locks: dict[str, Lock] = {}


def utcnow() -> datetime:
    """Return the current time in the form that the tables use: UTC without a zone."""
    return timeutils.utcnow()


def waits_in_c(conf: cfg.ConfigOpts) -> bool:
    """Return whether the driver of the configured database waits for it in C code: mysqlclient does."""
    url = sqlalchemy.make_url(conf.database.connection)
    return url.get_backend_name() in ('mysql', 'mariadb') and url.get_driver_name() == 'mysqldb'


def _is_temporary(error: Exception) -> bool:
    if isinstance(error, DatabaseBusy):
        return False
    return isinstance(error, db_exc.DBDeadlock | db_exc.DBConnectionError) or 'database is locked' in str(error)


def retry_on_deadlock(function: _F) -> _F:
    """Decorate a function that writes, to repeat it after a deadlock or a lost connection.

    ``DatabaseBusy`` is not retried: the caller has already waited, and many callers that wait make it last longer.

    A connection can be lost after the commit was sent, so the function must be idempotent.
    """

    @functools.wraps(function)
    def repeated(*args: Any, **kwargs: Any) -> Any:
        token = _IS_REPEATED.set(True)
        try:
            return function(*args, **kwargs)
        finally:
            _IS_REPEATED.reset(token)

    return _retry(repeated, _is_temporary)  # type: ignore[return-value]


def retry_if_rolled_back(function: _F) -> _F:
    """Decorate a function that writes and must not be repeated after its commit: repeat it after a deadlock only.

    A lost connection is raised to the caller, as the commit may have been carried out.
    """
    return _retry(function, lambda error: _is_temporary(error) and not isinstance(error, db_exc.DBConnectionError))


def _retry(function: _F, is_retried: Callable[[Exception], bool]) -> _F:
    decorated: _F = oslo_db_api.wrap_db_retry(
        max_retries=12,
        retry_interval=0.02,
        inc_retry_interval=True,
        max_retry_interval=2,
        jitter=True,
        exception_checker=is_retried,
    )(function)
    return decorated


class Database:
    """The database that `[database]` of a configuration names.

    Its methods raise ``DatabaseBusy`` if no connection is free in time, or a row stays locked.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.url = sqlalchemy.make_url(conf.database.connection)
        self.dialect: str = self.url.get_backend_name()
        self._facade = self._reads = self._connect(conf, self.url)
        if self.dialect != 'sqlite':
            self._facade = self._connect(conf, self.url.update_query_dict({'plugin': _Transactions.NAME}))
            self._reads = self._connect(conf, self.url.update_query_dict({'plugin': _Autocommit.NAME}))
        self._write_lock = _write_lock(self.url)
        self._lock_timeout: int = conf.database.lock_timeout
        self._idle_timeout: int = conf.database.idle_transaction_timeout

    def _connect(self, conf: cfg.ConfigOpts, url: sqlalchemy.URL) -> Any:
        facade = enginefacade.transaction_context()
        facade.configure(**_facade_options(conf, url))
        facade.append_on_engine_create(self._prepare_engine)
        return facade

    @property
    def engine(self) -> Engine:
        """The engine. It is made, and its connection is tested, when it is first used."""
        return self._facade.writer.get_engine()

    @property
    def reading_engine(self) -> Engine:
        """The engine of ``rows``. On SQLite it is ``engine``."""
        return self._reads.writer.get_engine()

    @contextlib.contextmanager
    def reader(self) -> Iterator[Connection]:
        """Open a transaction for reading. Nothing is committed."""
        with _errors_are_translated(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writer(self) -> Iterator[Connection]:
        """Open a transaction that is committed at the end of the block, or rolled back by an exception."""
        with (
            self._write_lock or contextlib.nullcontext(),
            _errors_are_translated(),
            self.engine.connect() as connection,
        ):
            if self._write_lock is not None:
                connection.execution_options(**_WRITES)
            with connection.begin():
                yield connection
            connection.info[_IS_COMMITTED] = True

    def rows(self, statement: Executable, params: Mapping[str, Any]) -> Sequence[Any]:
        """Execute one statement that reads, without the overhead of a transaction."""
        try:
            return self._rows(statement, params)
        except db_exc.DBConnectionError:
            # The server closed the pooled connection, which nothing has tried before. By now the pool has dropped all
            # connections of that time.
            return self._rows(statement, params)

    def _rows(self, statement: Executable, params: Mapping[str, Any]) -> Sequence[Any]:
        with _errors_are_translated(), self.reading_engine.connect() as connection:
            if self._write_lock is not None:
                connection.execution_options(**_READS_ONCE)
            return connection.execute(statement, params).all()

    def dispose(self) -> None:
        """Close the pooled connections."""
        self._facade.dispose_pool()
        self._reads.dispose_pool()

    def _prepare_engine(self, engine: Engine) -> None:
        if self.dialect == 'sqlite':
            _prepare_sqlite(engine)
        elif self.dialect in ('mysql', 'mariadb'):
            event.listen(engine, 'connect', self._mysql_connected)
        elif self.dialect == 'postgresql':
            event.listen(engine, 'connect', self._postgresql_connected)
        # oslo.db has opened a connection to try the engine, before these listeners could prepare it.
        engine.dispose()

    def _mysql_connected(self, connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
            cursor.execute(f'SET SESSION innodb_lock_wait_timeout = {self._lock_timeout}')
            cursor.execute('SELECT VERSION()')
            (version,) = cursor.fetchone()
            if 'MariaDB' in version:
                cursor.execute(f'SET SESSION idle_transaction_timeout = {self._idle_timeout}')

    def _postgresql_connected(self, connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{self._lock_timeout}s'")
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{self._idle_timeout}s'")
        connection.commit()


@contextlib.contextmanager
def _errors_are_translated() -> Iterator[None]:
    """Raise ``DatabaseBusy`` for an exhausted pool and for a lock timeout, ``UnfitText`` for what cannot be stored.

    oslo.db translates neither the error of the pool nor a lock timeout of PostgreSQL, and takes one of MariaDB for a
    deadlock.
    """
    try:
        yield
    except sqlalchemy.exc.TimeoutError as error:
        raise DatabaseBusy(error) from error
    except (db_exc.DBDeadlock, sqlalchemy.exc.OperationalError) as error:
        raised = error.inner_exception if isinstance(error, db_exc.DBDeadlock) else error
        if _LOCK_TIMEOUT.search(str(getattr(raised, 'orig', ''))):
            raise DatabaseBusy(error) from error
        raise
    except (db_exc.DBInvalidUnicodeParameter, db_exc.DBError) as error:
        if _is_about_text(error):
            raise UnfitText('A name or an id is too long, or has a character that cannot be stored.') from error
        raise


def _is_about_text(error: Exception) -> bool:
    """Return whether an error of oslo.db says that a text cannot be stored.

    The message of any error may quote the texts of a client, so only types and codes decide.
    """
    if isinstance(error, db_exc.DBInvalidUnicodeParameter):
        return True
    inner = getattr(error, 'inner_exception', None)
    raised = getattr(inner, 'orig', inner)
    if isinstance(raised, ValueError):
        return 'NUL' in str(raised)  # psycopg2
    return getattr(raised, 'pgcode', None) == _PG_TOO_LONG or getattr(raised, 'args', ())[:1] == (_MYSQL_TOO_LONG,)


def _facade_options(conf: cfg.ConfigOpts, url: sqlalchemy.URL) -> dict[str, Any]:
    own = {option.name for option in database_options.OPTS}
    options = {name: value for name, value in conf.database.items() if name not in own}
    options['sqlite_fk'] = True
    # Switching to other green threads after each transaction takes half a millisecond, and is not needed: requests
    # switch when they wait for a socket.
    options['thread_checkin'] = False
    if url.get_backend_name() in ('mysql', 'mariadb') and 'charset' not in url.query:
        # oslo.db's default is utf8 with at most three bytes, which cannot store every character of a name.
        url = url.update_query_dict({'charset': 'utf8mb4'})
    if _sqlite_file(url):
        os.makedirs(os.path.dirname(os.path.abspath(_sqlite_file(url))), exist_ok=True)
        url = url.update_query_dict({'plugin': _SqlitePool.NAME})
    options['connection'] = url.render_as_string(hide_password=False)
    return options


class _Autocommit(CreateEnginePlugin):
    """Makes an engine for single statements that read; oslo.db has no options for that."""

    NAME = 'trio2o_autocommit'

    def __init__(self, url: sqlalchemy.URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        kwargs |= {
            'isolation_level': 'AUTOCOMMIT',
            'skip_autocommit_rollback': True,
            'pool_reset_on_return': None,
            'pool_pre_ping': False,
        }

    def update_url(self, url: sqlalchemy.URL) -> sqlalchemy.URL:
        return url.difference_update_query(['plugin'])


plugins.register(_Autocommit.NAME, __name__, _Autocommit.__name__)


#: Key of ``info`` of a connection whose transaction is committed.
_IS_COMMITTED = 'is_committed'

#: Key of ``info`` of a connection in the pool: since when it is idle.
_IDLE_SINCE = 'idle_since'

#: Seconds after which an idle connection is tried even for a function that is repeated if it is lost.
_TRIED_AFTER = 1.0

#: Whether the function that runs is repeated if its connection is lost.
_IS_REPEATED = contextvars.ContextVar('is_repeated', default=False)


class _Transactions(CreateEnginePlugin):
    """Makes an engine for transactions with fewer round trips; oslo.db has no options for that.

    SQLAlchemy sends a ping before each transaction, and a ROLLBACK after each, even if it is committed. A connection
    that was in use a moment ago is very likely still open. A function that is repeated after a lost connection does
    without the ping then: if the server has closed the connection, the first attempt fails, and the pool drops all
    connections of that time.
    """

    NAME = 'trio2o_transactions'

    def __init__(self, url: sqlalchemy.URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        kwargs |= {'pool_pre_ping': False, 'pool_reset_on_return': None}

    def update_url(self, url: sqlalchemy.URL) -> sqlalchemy.URL:
        return url.difference_update_query(['plugin'])

    def engine_created(self, engine: Engine) -> None:
        dialect = engine.dialect

        def try_idle(connection: Any, record: Any, _fairy: object) -> None:
            since = record.info.pop(_IDLE_SINCE, None)
            if since is None or (_IS_REPEATED.get() and time.monotonic() - since < _TRIED_AFTER):
                return
            try:
                is_open = dialect.do_ping(connection)
            except dialect.loaded_dbapi.Error:
                is_open = False
            if not is_open:
                raise sqlalchemy.exc.InvalidatePoolError

        event.listen(engine, 'checkout', try_idle)
        event.listen(engine, 'reset', _roll_back)
        event.listen(engine, 'checkin', _note_idle)


def _roll_back(connection: Any, record: Any, state: Any) -> None:
    """Roll back when a connection is returned to the pool, as SQLAlchemy does, unless nothing is left to roll back."""
    is_committed = record is not None and record.info.pop(_IS_COMMITTED, False)
    if not (is_committed or state.transaction_was_reset or state.terminate_only):
        connection.rollback()


def _note_idle(_connection: object, record: Any) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()


plugins.register(_Transactions.NAME, __name__, _Transactions.__name__)


class _SqlitePool(CreateEnginePlugin):
    """Keeps connections to a SQLite file open.

    oslo.db chooses a pool that opens the file for every transaction, which takes longer than a lookup, and has no
    option for another pool.
    """

    NAME = 'trio2o_sqlite_pool'

    def __init__(self, url: sqlalchemy.URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        kwargs |= {
            'poolclass': pool.QueuePool,
            'pool_size': 16,
            'max_overflow': 48,
            'pool_timeout': SQLITE_LOCK_SECONDS,
            'pool_use_lifo': True,
            # A connection to a file is never lost.
            'pool_pre_ping': False,
            'pool_recycle': -1,
        }

    def update_url(self, url: sqlalchemy.URL) -> sqlalchemy.URL:
        return url.difference_update_query(['plugin'])


plugins.register(_SqlitePool.NAME, __name__, _SqlitePool.__name__)


def _sqlite_file(url: sqlalchemy.URL) -> str:
    if url.get_backend_name() != 'sqlite' or not url.database or url.database == ':memory:':
        return ''
    return url.database


def _write_lock(url: sqlalchemy.URL) -> Lock | None:
    if url.get_backend_name() != 'sqlite':
        return None
    if not _sqlite_file(url):
        return threading.RLock()
    return _sqlite_write_locks.setdefault(os.path.realpath(_sqlite_file(url)), threading.RLock())


def _prepare_sqlite(engine: Engine) -> None:
    event.listen(engine, 'connect', _sqlite_connected)
    event.listen(engine, 'set_connection_execution_options', _sqlite_begin)
    event.listen(engine, 'reset', _sqlite_reset)


def _sqlite_connected(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(f'PRAGMA busy_timeout = {int(SQLITE_LOCK_SECONDS * 1000)}')
    _until_unlocked(lambda: connection.execute('PRAGMA journal_mode = WAL'))
    connection.execute('PRAGMA synchronous = NORMAL')


def _sqlite_begin(connection: Connection, options: Mapping[str, Any]) -> None:
    """Begin a transaction for a writer, so that oslo.db's listener begins none."""
    if not options.keys() & _WRITES.keys() or 'in_transaction' in connection.info:
        return
    if options.items() >= _WRITES.items():
        _begin_immediate(connection.connection.dbapi_connection)
    # A single statement that reads needs no transaction: for it too, this keeps oslo.db from beginning one.
    connection.info['in_transaction'] = True


def _begin_immediate(connection: Any) -> None:
    # Wait here and not in SQLite, so that other green threads can run.
    connection.execute('PRAGMA busy_timeout = 0')
    try:
        _until_unlocked(lambda: connection.execute('BEGIN IMMEDIATE'))
    finally:
        connection.execute(f'PRAGMA busy_timeout = {int(SQLITE_LOCK_SECONDS * 1000)}')


def _sqlite_reset(_connection: object, record: Any, _state: object) -> None:
    record.info.pop('in_transaction', None)


def _until_unlocked(execute: Callable[[], object]) -> None:
    end = time.monotonic() + SQLITE_LOCK_SECONDS
    while True:
        try:
            execute()
            return
        except sqlite3.OperationalError as error:
            if 'locked' not in str(error) or time.monotonic() > end:
                raise
        time.sleep(random.uniform(0.0005, 0.004))
