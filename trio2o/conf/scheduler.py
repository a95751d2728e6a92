# SPDX-License-Identifier: Apache-2.0
"""Options for choosing a pod, in [scheduler]."""

from oslo_config import cfg

GROUP = cfg.OptGroup('scheduler', title='Choosing a pod')

OPTS = [
    cfg.ListOpt(
        'filters',
        default=[
            'state',
            'availability_zone',
            'resource_affinity',
            'exclusive_binding',
            'replicas',
            'breaker',
            'retry',
            'capacity',
            'pod_group',
        ],
        help="""
Filters that a pod must pass, in this order: names of entry points in ``trio2o.scheduler.filters``.

Possible values:

* ``state``: enabled pods that have an endpoint of the service
* ``availability_zone``: pods of the requested availability zone
* ``resource_affinity``: pods whose tag matches the ``trio2o:`` extra specs; without those, pods without a tag
* ``exclusive_binding``: if the project has an exclusive binding in the zone, only the pods it is bound to
* ``replicas``: pods where the flavor, key pair or volume type is not in conflict with that of other pods
* ``breaker``: pods whose breaker is closed, see ``[pods] breaker_failures``
* ``retry``: pods that have not failed this request before
* ``capacity``: pods with enough free capacity, see ``headroom``
* ``pod_group``: pods of one group, the one whose tag has the fewest keys beside the requested ones
* ``all_pods``: all pods
* filters of other packages

A name without an entry point keeps the service from starting.
""",
    ),
    cfg.ListOpt(
        'weighers',
        default=['binding', 'creation_time'],
        help="""
Weighers that order the pods that passed all filters: names of entry points in ``trio2o.scheduler.weighers``.

The weights of each weigher are scaled to 0..1 over these pods and multiplied (see ``weight_multipliers``). The pod
with the highest sum comes first; of pods with equal sums, the one with the lower number.

Possible values:

* ``binding``: prefers pods the project is bound to. Its default multiplier of 1000 outweighs the other weighers
* ``creation_time``: prefers pods that were registered earlier
* ``idle_capacity``: prefers pods with capacity for more requests like this one
* ``spread``: prefers pods with the smallest share of used capacity
* ``pack``: prefers pods with the largest share of used capacity
* weighers of other packages

A name without an entry point keeps the service from starting.
""",
    ),
    cfg.DictOpt(
        'weight_multipliers',
        default={},
        help="""
Multipliers by weigher, such as ``creation_time:0.5,spread:2``.

A weigher that is not named has 1.0, ``binding`` has 1000. A negative multiplier reverses the order.
""",
    ),
    cfg.DictOpt(
        'headroom',
        default={},
        help="""
Capacity that is kept free in every pod, for each resource an amount or a percentage of the capacity, such as
``vcpu:5%,memory_mb:10%,disk_gb:500,gigabytes:5%``.

Names are Placement's resource classes, and ``gigabytes`` for volumes. The ``headroom`` of a pod (Admin API) overrides
this option for each resource it names.
""",
    ),
    cfg.FloatOpt(
        'usage_max_age',
        default=900.0,
        min=0.0,
        help="""
Seconds after which the capacity read from a pod is ignored. The scheduler then assumes that the pod has enough.

The value should be several times ``[xjob] usage_interval``.
""",
    ),
    cfg.StrOpt(
        'default_availability_zone',
        help='Availability zone for servers and volumes whose request names none. Default: the best pod of all zones.',
    ),
    cfg.BoolOpt(
        'reschedule_on_no_valid_host',
        default=False,
        help="""
Whether a server is rescheduled to the next suitable pod if a pod accepted it and then failed with "No valid host was
found". The server keeps its id for the tenant.

The process that served the request polls the state of each new server until it is built, with the user's token. It
keeps the request and the token in memory only, so a server is not rescheduled after that process ended.
""",
    ),
    cfg.FloatOpt(
        'reschedule_watch_seconds',
        default=300.0,
        min=1.0,
        help='Seconds after which the state of a new server is no longer polled. '
        'Related option: ``reschedule_on_no_valid_host``.',
    ),
    cfg.IntOpt('max_attempts', default=3, min=1, help='Number of pods that a create tries before it fails.'),
    cfg.FloatOpt(
        'rebind_seconds',
        default=300.0,
        min=0.0,
        help="""
Seconds for which a project stays bound to a pod that fails, if it has resources there.

Its new resources go to other pods of the zone meanwhile. If the binding moved at once, later volumes would be in
another pod than the servers that the project has.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'scheduler': OPTS}
