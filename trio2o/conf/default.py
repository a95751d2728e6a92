# SPDX-License-Identifier: Apache-2.0
"""Options of the whole installation, in [DEFAULT]."""

from oslo_config import cfg

from trio2o import concurrency

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'region_name',
        default='RegionOne',
        help="""
Keystone region that tenants see, the one whose compute and volume endpoints point at the gateways.

A pod may never be registered under this name.
""",
    ),
    cfg.StrOpt(
        'state_path',
        default='/var/lib/trio2o',
        help='Directory for files that Trio2o keeps, such as the SQLite database used when no other is named.',
    ),
    cfg.StrOpt(
        'concurrency_backend',
        default=concurrency.DEFAULT_BACKEND,
        choices=list(concurrency.BACKENDS),
        help="""
How the commands run things at once.

``eventlet`` uses green threads, ``threading`` native ones. The modules under ``trio2o.wsgi`` always run on
native threads, whatever stands here. OpenStack as a whole is leaving eventlet; both serve the same.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'DEFAULT': OPTS}
