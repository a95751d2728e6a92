# SPDX-License-Identifier: Apache-2.0
"""Options of the quota over all pods, in [quota]."""

from oslo_config import cfg

GROUP = cfg.OptGroup('quota', title='One quota over all pods')

#: What is counted over all pods, and how much of it a project may have unless somebody says otherwise. The numbers
#: are those of the services themselves.
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
What decides how much a project may have, by the name of an entry point in ``trio2o.quota.drivers``.

* ``db``: limits set through the quota APIs, kept in Trio2o's own database;
* ``nested``: the same, and what is set for a project bounds also what it and all projects below it in Keystone's
  tree have together;
* ``unified``: Keystone's unified limits, of the region of Trio2o, read through oslo.limit;
* ``unlimited``: everything is allowed. What is used is counted all the same.
""",
    ),
    *(
        cfg.IntOpt(
            name,
            default=default,
            min=-1,
            help=f'{_TITLES[name]} a project may have over all pods, unless the default quota class or its own quota '
            'says otherwise; -1: any number.',
        )
        for name, default in DEFAULTS.items()
    ),
    cfg.FloatOpt(
        'claim_seconds',
        default=300.0,
        min=1.0,
        help="""
Seconds after which a request that claimed something is taken for dead with its process.

Only then is it looked up in the pods what came of it, so it has to be longer than any create takes, with all the
pods it tries. Related options: ``[pods] read_timeout``, ``[scheduler] max_attempts``.
""",
    ),
    cfg.FloatOpt(
        'watch_seconds',
        default=5.0,
        min=0.1,
        help='Seconds between two looks at what a pod has accepted to make, change or delete and has not done yet.',
    ),
    cfg.FloatOpt(
        'settle_interval',
        default=5.0,
        min=0.0,
        help='Seconds between two runs of the job that settles open claims; 0: never.',
    ),
    cfg.FloatOpt(
        'recount_interval',
        default=3600.0,
        min=0.0,
        help="""
Seconds between two runs of the job that sets the counters of every project to what is recorded of its resources;
0: never. What is recorded is compared with the pods every ``[xjob] reconcile_interval``.
""",
    ),
    cfg.FloatOpt(
        'recheck_seconds',
        default=30.0,
        min=0.0,
        help="""
A refusal has the project's use counted anew in the pods, in the background, unless that was done so many seconds ago.
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
        help="Seconds for which Keystone's project tree and unified limits are remembered.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'quota': OPTS}
