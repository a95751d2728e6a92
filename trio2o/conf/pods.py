# SPDX-License-Identifier: Apache-2.0
"""Options of calls to pods, in [pods]."""

from oslo_config import cfg

GROUP = cfg.OptGroup('pods', title='Calls to pods')

OPTS = [
    cfg.FloatOpt(
        'connect_timeout',
        default=3.0,
        min=0.01,
        help='Seconds to wait for a connection to a pod. After that the pod counts as unreachable for this request.',
    ),
    cfg.FloatOpt(
        'read_timeout',
        default=60.0,
        min=0.01,
        help='Seconds to wait for the answer to a request that only one pod can answer.',
    ),
    cfg.FloatOpt(
        'gather_timeout',
        default=15.0,
        min=0.01,
        help="""
Seconds within which all pods have to answer for a list or a sum over pods.

If a pod takes longer, its servers are listed as UNKNOWN where the version has that form; any other list is answered
with 503. If a list needs several pages of the pods, this is the time for each of them, and ``read_timeout`` that for
all.
""",
    ),
    cfg.FloatOpt(
        'probe_timeout',
        default=5.0,
        min=0.01,
        help="""
Seconds to wait for the answers of pods when the gateway looks for the pod that holds an id without a routing.

Also used as the per-pod timeout when any pod can answer the request.

A request can refer to many things that pods have to be called for, such as the volumes of a new server. All of these
calls together take at most ``gather_timeout``.
""",
    ),
    cfg.FloatOpt(
        'unknown_id_seconds',
        default=5.0,
        min=0.0,
        help='Seconds for which a process remembers that no pod shows an id to a caller, and does not call the pods '
        'for it again.',
    ),
    cfg.IntOpt(
        'max_references',
        default=256,
        min=1,
        help="""
Number of resources that one field of a request may refer to. A request with more is answered with 400.

The fields are the block devices of a new server, the scheduler hints of servers and volumes that list other ones, and
the volumes and volume types of a group. Each resource without a routing is looked up in the pods.
""",
    ),
    cfg.FloatOpt(
        'replicate_timeout',
        default=5.0,
        min=0.01,
        help='Seconds that a write to flavors, key pairs or types waits for the pods after the first. A job completes '
        'the write in the pods that take longer.',
    ),
    cfg.IntOpt(
        'pool_size',
        default=64,
        min=1,
        help="""
Number of connections to each endpoint of each pod that a process keeps open for later requests.

For all pods together it keeps half as many as the files that it may open, and closes those that it used longest ago.
With many pods raise its hard limit of open files (LimitNOFILE); it logs a warning with the number that it needs.
""",
    ),
    cfg.IntOpt(
        'max_answer_size',
        default=64 * 1024 * 1024,
        min=1024 * 1024,
        help='Number of bytes of an answer that a process reads from a pod. A larger answer counts as none, so that a '
        'pod cannot fill the memory of the gateway. A page of 1000 servers with details has about 3 MB.',
    ),
    cfg.IntOpt(
        'fanout_size',
        default=64,
        min=1,
        help="""
Number of calls to one pod that a process makes concurrently for lists, sums and other requests to several pods.

Each pod has as many threads of its own, which are started when they are needed. So calls to pods that do not answer
never delay those to other pods.
""",
    ),
    cfg.IntOpt(
        'background_size',
        default=64,
        min=1,
        help='Number of functions that a process runs concurrently without a request that waits for them, for example '
        'to record the resources of a list.',
    ),
    cfg.IntOpt(
        'breaker_failures',
        default=3,
        min=1,
        help="""
Number of failures in a row (unreachable, no answer, status 502 to 504) after which the breaker of a pod opens.

No answer within less than half of ``gather_timeout``, as with ``probe_timeout``, does not count.

Requests to the pod then fail at once, without a call, for ``breaker_seconds``. If the pod was reached and all of the
requests were of one project, the requests may be the cause. Then the breaker opens only if the pod does not answer
Trio2o's own user either, who asks for a list of one server or volume.
""",
    ),
    cfg.FloatOpt(
        'breaker_seconds',
        default=5.0,
        min=0.0,
        help='Seconds for which the breaker of a failing pod stays open before one call tries the pod again.',
    ),
    cfg.FloatOpt(
        'refresh_seconds',
        default=2.0,
        min=0.0,
        help="""
Seconds after which a process reads pods and other data that it keeps in memory from the database again.

A change made through another process takes effect after this time: also that of a flavor, by which a create counts
quota. If a flavor is deleted and created with other amounts under the same id, servers that other processes create
within this time are counted by the old amounts, until the pod's resources are compared the next time.
""",
    ),
    cfg.IntOpt('routing_cache_size', default=100000, min=0, help='Number of routings that a process keeps in memory.'),
    cfg.FloatOpt(
        'routing_cache_seconds', default=60.0, min=0.0, help='Seconds for which a process keeps a routing in memory.'
    ),
    cfg.StrOpt(
        'interface',
        default='public',
        choices=['public', 'internal', 'admin'],
        help="Interface of the pods' endpoints that Trio2o looks up in Keystone's catalog.",
    ),
    cfg.ListOpt(
        'volume_service_types',
        default=['block-storage', 'volumev3'],
        help="Service types of the Block Storage API in Keystone's catalog. The first one that a pod's region has is "
        'used.',
    ),
    cfg.StrOpt(
        'cafile', help='File with the CA certificates to verify pods with. Default: the CA certificates of the system.'
    ),
    cfg.BoolOpt('insecure', default=False, help='Do not verify the certificates of pods. Use this for tests only.'),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'pods': OPTS}
