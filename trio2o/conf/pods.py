# SPDX-License-Identifier: Apache-2.0
"""Options for talking to pods, in [pods]."""

from oslo_config import cfg

GROUP = cfg.OptGroup('pods', title='Calls to pods')

OPTS = [
    cfg.FloatOpt(
        'connect_timeout',
        default=3.0,
        min=0.01,
        help='Seconds to wait for a connection to a pod. Past it the pod counts as not reached.',
    ),
    cfg.FloatOpt(
        'read_timeout',
        default=60.0,
        min=0.01,
        help='Seconds to wait for the answer of one pod to a call that concerns it alone.',
    ),
    cfg.FloatOpt(
        'gather_timeout',
        default=15.0,
        min=0.01,
        help='Seconds within which a list or sum over pods is answered; pods that take longer are left out.',
    ),
    cfg.FloatOpt(
        'probe_timeout',
        default=5.0,
        min=0.01,
        help="""
Seconds within which pods are asked whether they hold an id that has no routing yet.

So long a pod is waited for, too, where another can answer the same.
""",
    ),
    cfg.FloatOpt(
        'replicate_timeout',
        default=5.0,
        min=0.01,
        help='Seconds a write to flavors, keypairs or types waits for the other pods; the rest is a job.',
    ),
    cfg.IntOpt(
        'pool_size', default=64, min=1, help='Connections kept open to each endpoint of each pod, per process.'
    ),
    cfg.IntOpt('fanout_size', default=256, min=1, help='Calls to pods under way at once in a process.'),
    cfg.IntOpt(
        'breaker_failures',
        default=3,
        min=1,
        help='Failures in a row (not reached, no answer, 502 to 504) after which a pod is left alone for a while.',
    ),
    cfg.FloatOpt(
        'breaker_seconds',
        default=5.0,
        min=0.0,
        help='Seconds a failing pod is left alone before one call tries it again.',
    ),
    cfg.FloatOpt(
        'refresh_seconds',
        default=2.0,
        min=0.0,
        help='Age at which a process reads pods, bindings and what else it keeps in memory from the database again.',
    ),
    cfg.IntOpt('routing_cache_size', default=100000, min=0, help='Routings a process keeps in memory.'),
    cfg.FloatOpt('routing_cache_seconds', default=60.0, min=0.0, help='Seconds a routing is kept in memory.'),
    cfg.StrOpt(
        'interface',
        default='public',
        choices=['public', 'internal', 'admin'],
        help="Which of a pod's endpoints in Keystone's catalog to use.",
    ),
    cfg.ListOpt(
        'volume_service_types',
        default=['block-storage', 'volumev3'],
        help='Service types under which a pod may list its Block Storage API, best first.',
    ),
    cfg.StrOpt('cafile', help='CA certificates to verify pods with. Default: those of the system.'),
    cfg.BoolOpt('insecure', default=False, help='Do not verify the certificates of pods. For tests only.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'pods': OPTS}
