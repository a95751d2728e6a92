# SPDX-License-Identifier: Apache-2.0
"""Options of the quota over all pods, in [quota]."""

from oslo_config import cfg

GROUP = cfg.OptGroup('quota', title='One quota over all pods')

#: Resources counted over all pods, with the default limits of a project, which are those of Nova and Cinder.
DEFAULTS = {
    'instances': 10,
    'cores': 20,
    'ram': 50 * 1024,
    'server_groups': 10,
    'server_group_members': 10,
    'volumes': 10,
    'gigabytes': 1000,
    'snapshots': 10,
    'backups': 10,
    'backup_gigabytes': 1000,
    'groups': 10,
}
_TITLES = {
    'instances': 'Servers',
    'cores': 'Virtual CPUs of all servers',
    'ram': 'MiB of memory of all servers',
    'server_groups': 'Server groups',
    'server_group_members': 'Servers in one server group',
    'volumes': 'Volumes',
    'gigabytes': 'GiB of all volumes and snapshots',
    'snapshots': 'Snapshots of volumes',
    'backups': 'Backups of volumes',
    'backup_gigabytes': 'GiB of all backups',
    'groups': 'Groups of volumes',
}

OPTS = [
    cfg.StrOpt(
        'driver',
        default='db',
        help="""
Quota driver: name of an entry point in ``trio2o.quota.drivers``. It decides on the limits of a project.

* ``db``: limits that are set through the quota APIs and stored in Trio2o's own database;
* ``nested``: as ``db``, and the limit of a project applies also to the sum over the project and all projects below it
  in Keystone's project tree;
* ``unified``: Keystone's unified limits for the region of Trio2o, read through oslo.limit;
* ``unlimited``: no limits. Usage is still counted.
""",
    ),
    *(
        cfg.IntOpt(
            name,
            default=default,
            min=-1,
            help=f'{_TITLES[name]} that a project may have over all pods, if no limit is set for the default quota '
            'class or the project; -1: unlimited.',
        )
        for name, default in DEFAULTS.items()
    ),
    cfg.FloatOpt(
        'claim_seconds',
        default=300.0,
        min=1.0,
        help="""
Seconds after which an open quota claim is considered abandoned, because the process that made it died.

A job then determines from the pods what the request created. A claim of a create with an unknown outcome is released
after this time, if the pod has not created the resource by then. The value must be longer than the longest create,
including all pods it tries. Related options: ``[pods] read_timeout``, ``[scheduler] max_attempts``.
""",
    ),
    cfg.FloatOpt(
        'watch_seconds',
        default=5.0,
        min=0.1,
        help='Seconds between two checks of a resource whose create, resize or delete a pod has accepted and not yet '
        'completed. Lower values correct usage sooner and cost more requests to pods.',
    ),
    cfg.FloatOpt(
        'settle_interval',
        default=5.0,
        min=0.0,
        help='Seconds between two runs of the job that settles open quota claims; 0: never.',
    ),
    cfg.FloatOpt(
        'recount_interval',
        default=3600.0,
        min=0.0,
        help="""
Seconds between two runs of the job that recomputes the usage of every project from the recorded resources; 0: never.

The recorded resources are compared with the pods every ``[xjob] reconcile_interval``.
""",
    ),
    cfg.FloatOpt(
        'recheck_seconds',
        default=30.0,
        min=0.0,
        help="""
Minimum interval in seconds between background recounts of a project triggered by an over-quota refusal.

A recount finds resources that were deleted in a pod directly.
""",
    ),
    cfg.FloatOpt(
        'raise_limits_interval',
        default=3600.0,
        min=0.0,
        help="""
Seconds between two runs of the job ``raise_pod_limits``.

The job sets a pod's own limits to unlimited for resources that Trio2o counts over all pods, for the projects that are
bound to the pod or have resources in it. It also runs for a project when a pod refuses a request for its own limit.
With 0 the job is switched off and such limits stay.
""",
    ),
    cfg.FloatOpt(
        'tree_seconds',
        default=60.0,
        min=0.0,
        help="Seconds for which a process caches Keystone's project tree and unified limits.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'quota': OPTS}
