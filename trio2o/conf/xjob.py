# SPDX-License-Identifier: Apache-2.0
"""Options of the job worker, in [xjob]."""

from oslo_config import cfg

GROUP = cfg.OptGroup('xjob', title='Jobs')

OPTS = [
    cfg.IntOpt('workers', default=1, min=1, help='Worker processes.'),
    cfg.PortOpt(
        'metrics_port',
        help="""
Port at which the worker answers ``/metrics`` and ``/healthcheck``. Without it there is none.

The worker serves nothing else. In ``trio2o-all`` the ports of the APIs tell of its jobs too, and this means nothing.
""",
    ),
    cfg.HostAddressOpt('metrics_host', default='0.0.0.0', help='Address of ``metrics_port``.'),  # nosec
    cfg.IntOpt('concurrency', default=4, min=1, help='Jobs a worker runs at once.'),
    cfg.IntOpt(
        'pod_concurrency',
        default=4,
        min=1,
        help='Jobs that run at once for one pod, over all workers on all hosts.',
    ),
    cfg.FloatOpt(
        'scan_interval',
        default=5.0,
        min=0.05,
        help="""
Seconds between two looks at the jobs table.

A message over oslo.messaging starts a job at once; the scan takes up what no message told of.
""",
    ),
    cfg.FloatOpt(
        'lease_seconds',
        default=60.0,
        min=0.2,
        help='Seconds after the last heartbeat of its worker at which a running job is taken over by another.',
    ),
    cfg.IntOpt('max_attempts', default=10, min=1, help='Times a job is tried before it fails for good.'),
    cfg.FloatOpt(
        'retry_seconds',
        default=2.0,
        min=0.0,
        help='Seconds before the second attempt; doubled for each further one, up to ten minutes.',
    ),
    cfg.FloatOpt(
        'repair_interval', default=300.0, min=0.0, help='Seconds between two checks of what must exist in every pod.'
    ),
    cfg.FloatOpt(
        'reconcile_interval',
        default=120.0,
        min=0.0,
        help="""
Seconds between two looks at what changed in a pod without passing the gateway.

Only what is new or changed since the last look is read.
""",
    ),
    cfg.FloatOpt(
        'full_reconcile_interval',
        default=21600.0,
        min=0.0,
        help="""
Seconds between two comparisons of all routings with a pod.

They find what the Block Storage API does not tell otherwise: what was deleted in the pod directly. With 0 it is done
once, when the pod joins.
""",
    ),
    cfg.FloatOpt(
        'usage_interval',
        default=60.0,
        min=0.0,
        help="""
Seconds between two readings of what pods have and use, from Placement and Cinder. 0: never, and every pod has room.

A reading asks a pod's Placement twice for each host. Related: ``[scheduler] usage_max_age``.
""",
    ),
    cfg.FloatOpt(
        'endpoint_interval',
        default=30.0,
        min=0.0,
        help="Seconds between two looks at a pod's endpoints and versions.",
    ),
    cfg.FloatOpt('history_days', default=30.0, min=0.0, help='Days ended jobs and deleted routings are kept.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'xjob': OPTS}
