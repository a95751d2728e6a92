# SPDX-License-Identifier: Apache-2.0
"""Configuration options, one file per group. No other module registers options.

``new_config`` makes a ``ConfigOpts`` that is passed as a parameter. There is no global one, so one process can run
several services with different configurations.
"""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log as logging
from oslo_middleware import cors, http_proxy_to_wsgi

from trio2o import version
from trio2o.conf import (
    api,
    dashboard,
    database,
    default,
    log_records,
    metrics,
    moves,
    pods,
    quota,
    scheduler,
    service_auth,
    xjob,
)

GROUPS = (default, api, dashboard, database, metrics, pods, scheduler, quota, xjob, moves)

# At INFO these libraries repeat for each request what the access log already shows.
LOG_LEVELS = ('keystonemiddleware=WARNING', 'urllib3=WARNING', 'keystoneauth=WARNING', 'amqp=WARNING')

_VERSION_HEADERS = ('OpenStack-API-Version', 'X-OpenStack-Nova-API-Version')


#: Trio2o's defaults of options of oslo.db. A busy process would open and close each connection beyond the size of the
#: pool for one statement.
DATABASE_DEFAULTS = {
    'connection': 'sqlite:///$state_path/trio2o.sqlite',
    'max_pool_size': 50,
    'max_overflow': 5,
}


def set_library_defaults() -> None:
    """Set Trio2o's defaults of options that libraries define, for the sample of the configuration."""
    cfg.set_defaults(db_options.database_opts, **DATABASE_DEFAULTS)
    _set_other_defaults()


def _set_other_defaults() -> None:
    cors.set_defaults(
        allow_headers=[*_VERSION_HEADERS, 'X-Auth-Token', 'X-OpenStack-Request-ID'],
        expose_headers=[*_VERSION_HEADERS, 'Location', 'X-OpenStack-Request-ID', 'X-Compute-Request-Id'],
        allow_methods=['GET', 'PUT', 'POST', 'DELETE', 'PATCH'],
    )
    logging.set_defaults(default_log_levels=[*logging.get_default_log_levels(), *LOG_LEVELS])


def register(conf: cfg.ConfigOpts) -> None:
    """Register every option of Trio2o and of the libraries it configures."""
    for group in GROUPS:
        group.register_opts(conf)
    service_auth.register_opts(conf)
    _set_other_defaults()
    # The options themselves stay as they are: those of Nova, in the same process in tests, are copies of them.
    conf.register_opts(db_options.database_opts, group='database')
    conf.register_opts(http_proxy_to_wsgi.OPTS, group='oslo_middleware')
    for name, value in DATABASE_DEFAULTS.items():
        conf.set_default(name, value, 'database')
    logging.register_options(conf)


def new_config(args: Sequence[str] = (), files: Sequence[str] | None = None, prog: str = 'trio2o') -> cfg.ConfigOpts:
    """Make and parse a configuration.

    :param args: command line arguments
    :param files: configuration files when none is named in ``args``; None looks in the usual places
    """
    log_records.install()
    conf = cfg.ConfigOpts()
    register(conf)
    conf(
        list(args),
        project='trio2o',
        prog=prog,
        version=version.version_string(),
        default_config_files=list(files) if files is not None else None,
    )
    return conf
