# SPDX-License-Identifier: Apache-2.0
"""Options of the metrics for Prometheus, in [metrics]."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.FloatOpt(
        'database_seconds',
        default=10.0,
        min=0.1,
        help="""
Seconds for which a process keeps the metrics that it reads from the database (jobs, quota claims, replicas out of
sync).

A process does not read them more often than this, however often ``/metrics`` is scraped. Raise the value if there
are many processes and scrapes load the database.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    # A new group for each configuration, as oslo.config changes the group.
    conf.register_group(cfg.OptGroup('metrics', title='Metrics for Prometheus'))
    conf.register_opts(OPTS, group='metrics')


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'metrics': OPTS}
