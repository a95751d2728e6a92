# SPDX-License-Identifier: Apache-2.0
"""Options for choosing a pod, in [scheduler]."""

from oslo_config import cfg

GROUP = cfg.OptGroup('scheduler', title='Choosing a pod')

OPTS = [
    cfg.ListOpt(
        'filters',
        default=['state', 'availability_zone', 'breaker', 'retry'],
        help="""
Filters a pod must pass, in this order, by the names of the entry points in ``trio2o.scheduler.filters``.
""",
    ),
    cfg.ListOpt(
        'weighers',
        default=['binding', 'creation_time'],
        help="""
Weighers that order the pods that are left, by the names of the entry points in ``trio2o.scheduler.weighers``.

The first weigher decides; each further one only breaks ties of those before it, unless multipliers are set.
""",
    ),
    cfg.DictOpt(
        'weight_multipliers',
        default={},
        help='Multipliers by weigher, such as ``creation_time:0.5``. One that is not named counts 1.0.',
    ),
    cfg.StrOpt(
        'default_availability_zone',
        help='Zone for servers and volumes that name none. Default: any zone, the best pod of all.',
    ),
    cfg.IntOpt('max_attempts', default=3, min=1, help='Pods to try before a create is given up.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'scheduler': OPTS}
