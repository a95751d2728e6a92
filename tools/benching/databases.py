# SPDX-License-Identifier: Apache-2.0
"""Empty databases for the gateways: on private servers of MariaDB and PostgreSQL, or SQLite files."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

import sqlalchemy

from trio2o.lab import servers

SQLITE = 'sqlite'
_SERVERS: dict[str, Callable[[], contextlib.AbstractContextManager[str]]] = {
    'mariadb': servers.mariadb,
    'postgresql': servers.postgres,
}
#: Bytes that MariaDB may use for pages of tables.
_BUFFERS = 2 << 30
#: MariaDB by the driver mysqlclient, which the environment does not contain.
MYSQLCLIENT = 'mysqlclient'
KINDS = (*_SERVERS, MYSQLCLIENT, SQLITE)


class Databases:
    """Starts a server when the first database on it is wanted, and ends it with the context."""

    def __enter__(self) -> Databases:
        self._stack = contextlib.ExitStack()
        self._urls: dict[str, str] = {}
        self._numbers = itertools.count(1)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def new(self, kind: str) -> list[str]:
        """Create an empty database.

        :returns: options of a gateway that uses it; none if that is a file of SQLite, which each gateway makes itself
        :raises servers.NotInstalled: this machine has no such server
        """
        if kind == SQLITE:
            return []
        server = 'mariadb' if kind == MYSQLCLIENT else kind
        if server not in self._urls:
            self._urls[server] = self._stack.enter_context(_SERVERS[server]())
        url = sqlalchemy.make_url(self._urls[server])
        name = f'bench{next(self._numbers)}'
        engine = sqlalchemy.create_engine(url, isolation_level='AUTOCOMMIT')
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f'CREATE DATABASE {name}'))
            if server == 'mariadb':
                # As in production, the indexes of millions of rows are in memory.
                connection.execute(sqlalchemy.text(f'SET GLOBAL innodb_buffer_pool_size = {_BUFFERS}'))
        engine.dispose()
        if kind == MYSQLCLIENT:
            url = url.set(drivername='mysql+mysqldb').difference_update_query(['ssl_disabled'])
        return [f'database.connection={url.set(database=name).render_as_string(hide_password=False)}']
