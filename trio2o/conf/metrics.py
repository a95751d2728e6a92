# SPDX-License-Identifier: Apache-2.0
"""Options of what is told to Prometheus, in [metrics]."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        'database_seconds',
        default=10.0,
        min=0.1,
        help="""
Seconds for which figures out of the database (jobs, claims on quotas, replicas behind) are kept by a process.

However often ``/metrics`` is asked for, each process reads them no more often than this.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    # One for each configuration: what is set in one must not be set in another.
    conf.register_group(cfg.OptGroup('metrics', title='Figures for Prometheus'))
    conf.register_opts(OPTS, group='metrics')


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'metrics': OPTS}
