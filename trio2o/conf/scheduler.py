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
Filters a pod must pass, in this order, by the names of the entry points in ``trio2o.scheduler.filters``.

Possible values:

* ``state``: enabled pods that have the API
* ``availability_zone``: pods of the zone asked for
* ``resource_affinity``: pods whose tag has what the ``trio2o:`` extra specs ask for, and no others
* ``exclusive_binding``: where an operator bound the project exclusively, the pods it is bound to
* ``replicas``: pods where the flavor, key pair or volume type is what it is everywhere else
* ``breaker``: pods that have not just failed again and again
* ``retry``: pods that have not failed this request
* ``capacity``: pods with room, see ``headroom``
* ``pod_group``: of several groups of pods that would do the one that offers least beyond what is asked for
* ``all_pods``: passes everything
* those of other packages

A name without an entry point keeps the service from starting.
""",
    ),
    cfg.ListOpt(
        'weighers',
        default=['binding', 'creation_time'],
        help="""
Weighers that order the pods that are left, by the names of the entry points in ``trio2o.scheduler.weighers``.

What each gives is scaled to 0..1 over the pods at hand, multiplied (see ``weight_multipliers``) and summed; of two
pods with the same sum the one with the lower number is first.

Possible values:

* ``binding``: pods the project is bound to; its multiplier of 1000 keeps the others from outweighing it
* ``creation_time``: pods that were registered earlier
* ``idle_capacity``: pods that have room for more such requests
* ``spread``: pods of which a smaller share is used; ``pack``: the contrary
* those of other packages

A name without an entry point keeps the service from starting.
""",
    ),
    cfg.DictOpt(
        'weight_multipliers',
        default={},
        help="""
Multipliers by weigher, such as ``creation_time:0.5,spread:2``.

One that is not named counts 1.0, ``binding`` 1000. A negative one turns the order around.
""",
    ),
    cfg.DictOpt(
        'headroom',
        default={},
        help="""
How much of each resource is kept free in every pod: an amount, or a share of the capacity, such as
``vcpu:5%,memory_mb:10%,disk_gb:500,gigabytes:5%``. Names are those of Placement's resource classes, and ``gigabytes``
for volumes. A pod's own ``headroom`` (Admin API) overrides it, resource by resource.
""",
    ),
    cfg.FloatOpt(
        'usage_max_age',
        default=900.0,
        min=0.0,
        help="""
Seconds after which what was read of a pod's capacity no longer counts: the pod is then taken to have room.

Should be several times ``[xjob] usage_interval``.
""",
    ),
    cfg.StrOpt(
        'default_availability_zone',
        help='Zone for servers and volumes that name none. Default: any zone, the best pod of all.',
    ),
    cfg.BoolOpt(
        'reschedule_on_no_valid_host',
        default=False,
        help="""
Whether a server that a pod accepted, and then could not build for want of a host, is created in the next suitable pod.
The tenant keeps the id of the server.

The process that served the request polls the pod with the user's own token until each new server is built. The request
and the token that this takes are kept in memory alone.
""",
    ),
    cfg.FloatOpt(
        'reschedule_watch_seconds',
        default=300.0,
        min=1.0,
        help='Seconds after which a new server is no longer polled. Related: ``reschedule_on_no_valid_host``.',
    ),
    cfg.IntOpt('max_attempts', default=3, min=1, help='Pods to try before a create is given up.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'scheduler': OPTS}
