# SPDX-License-Identifier: Apache-2.0
"""Options of the job worker, in [xjob]."""

from oslo_config import cfg

GROUP = cfg.OptGroup('xjob', title='Jobs')

OPTS = [
    cfg.IntOpt('workers', default=1, min=1, help='Number of worker processes.'),
    cfg.PortOpt(
        'metrics_port',
        help="""
Port on which the worker serves ``/metrics`` and ``/healthcheck``. By default it opens no port.

``trio2o-all`` ignores this option: there the ports of the APIs export the metrics of jobs too.
""",
    ),
    cfg.HostAddressOpt(
        'metrics_host', default='0.0.0.0', help='Address that the worker listens on. Related option: ``metrics_port``.'
    ),  # nosec
    cfg.IntOpt(
        'concurrency',
        default=4,
        min=1,
        help="""
Number of jobs that a worker process runs concurrently.

If it is more than 1, one of them is kept for jobs that belong to no pod.
""",
    ),
    cfg.IntOpt(
        'pod_concurrency',
        default=4,
        min=1,
        help="""
Number of jobs that run concurrently for one pod, over all workers on all hosts.

Lower it if jobs overload pods.
""",
    ),
    cfg.FloatOpt(
        'scan_interval',
        default=5.0,
        min=0.05,
        help="""
Seconds between two scans of the jobs table for jobs that are due.

A message over oslo.messaging starts a job at once; the scan finds jobs whose message was lost, and retries.
""",
    ),
    cfg.FloatOpt(
        'lease_seconds',
        default=60.0,
        min=0.2,
        help='Seconds after the last heartbeat of its worker after which another worker takes over a running job.',
    ),
    cfg.IntOpt('max_attempts', default=10, min=1, help='Number of attempts after which a job fails for good.'),
    cfg.FloatOpt(
        'retry_seconds',
        default=2.0,
        min=0.0,
        help="""
Seconds before the second attempt of a job.

The time doubles with each further attempt, up to ten minutes.
""",
    ),
    cfg.FloatOpt(
        'repair_interval',
        default=300.0,
        min=0.0,
        help='Seconds between two runs of the job that compares replicated objects (flavors, key pairs, types) with '
        'a pod and repairs differences. It compares at most one pod a second: with more than 300 pods the default '
        'becomes a second for each of them.',
    ),
    cfg.FloatOpt(
        'reconcile_interval',
        default=40.0,
        min=0.0,
        help="""
Seconds between two runs of the job that finds resources that were created, changed or deleted in a pod directly.

It reads only what changed since its last run, with one request for servers and each kind of Block Storage resources.
With the default, changes are known within a minute, however many pods there are, if the pods answer in time.
""",
    ),
    cfg.FloatOpt(
        'full_reconcile_interval',
        default=21600.0,
        min=0.0,
        help="""
Seconds between two comparisons of all routings with a pod; 0: only once, when the pod is registered.

They find volumes and other Block Storage resources that were deleted in the pod directly, which the list of changes
does not contain.
""",
    ),
    cfg.FloatOpt(
        'usage_interval',
        default=60.0,
        min=0.0,
        help="""
Seconds between two reads of the capacity and use of pods, from Placement and Cinder; 0: never, and the scheduler
assumes that every pod has enough capacity.

A read sends two requests to a pod's Placement for each host, so at most four pods a second are read: with more than
240 pods the default becomes a quarter of a second for each of them. Related option: ``[scheduler] usage_max_age``.
""",
    ),
    cfg.FloatOpt(
        'endpoint_interval',
        default=30.0,
        min=0.0,
        help="Seconds between two reads of the pods' endpoints and microversions, of at most twenty pods a second.",
    ),
    cfg.FloatOpt(
        'history_days',
        default=30.0,
        min=0.0,
        help='Days after which ended jobs and deleted routings are removed from the database.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'xjob': OPTS}
