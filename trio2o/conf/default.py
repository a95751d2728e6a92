# SPDX-License-Identifier: Apache-2.0
"""Options of the whole installation, in [DEFAULT]."""

from oslo_config import cfg

from trio2o import concurrency

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'region_name',
        default='RegionOne',
        help="""
Keystone region that tenants use: its compute and volume endpoints are those of the gateways.

No pod can have this name.
""",
    ),
    cfg.StrOpt(
        'state_path',
        default='/var/lib/trio2o',
        help='Directory for the files of Trio2o, such as the SQLite database that is used by default.',
    ),
    cfg.StrOpt(
        'concurrency_backend',
        default=concurrency.DEFAULT_BACKEND,
        choices=list(concurrency.BACKENDS),
        help="""
Kind of threads that the commands use: ``eventlet`` for green threads, ``threading`` for native ones.

The services behave alike with both. OpenStack is removing eventlet, so only ``threading`` will remain. The modules
under ``trio2o.wsgi`` always use native threads and ignore this option.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'DEFAULT': OPTS}
