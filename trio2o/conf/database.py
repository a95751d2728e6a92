# SPDX-License-Identifier: Apache-2.0
"""Options of the connections to the database, in [database] beside those of oslo.db."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'lock_timeout',
        default=5,
        min=1,
        help="""
Seconds that a statement waits for a row that another transaction has locked, on MariaDB, MySQL and PostgreSQL.

A request that waits longer is answered with 503 and ``Retry-After``. While it waits it holds a connection, so a high
value lets one locked row stop the requests of all projects.
""",
    ),
    cfg.IntOpt(
        'idle_transaction_timeout',
        default=10,
        min=1,
        help="""
Seconds without a statement after which MariaDB or PostgreSQL ends a transaction and releases its locks.

It ends the transactions of a host that lost its power or its network. MySQL has no such timeout: there, set
``wait_timeout`` in the server.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, group='database')


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'database': OPTS}
