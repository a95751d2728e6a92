# SPDX-License-Identifier: Apache-2.0
"""Options of the three HTTP services: [api], [nova_apigw], [cinder_apigw]."""

from oslo_config import cfg

PORTS = {'api': 19996, 'cinder_apigw': 19997, 'nova_apigw': 19998}


def _server_opts(group: str) -> list[cfg.Opt]:
    return [
        cfg.HostAddressOpt('bind_host', default='0.0.0.0', help='Address the service listens on.'),  # nosec
        cfg.PortOpt('bind_port', default=PORTS[group], help='Port the service listens on.'),
        cfg.IntOpt(
            'workers',
            default=1,
            min=1,
            help='Number of worker processes. With 1 the process that was started serves the requests itself.',
        ),
        cfg.IntOpt(
            'threads',
            default=128,
            min=1,
            help="""
Number of requests that each process serves concurrently, on green or native threads.

Half as many calls to a pod may be under way, and half as many requests may wait for pods that have not answered for a
second. Under uWSGI the default is uWSGI's own number of threads; for another
WSGI server, set this to its number of threads.
""",
        ),
        cfg.URIOpt(
            'public_endpoint',
            help="""
URL under which clients reach the service, without version, such as ``https://cloud.example.org:8774``.

It is used in links and version documents. Set it if the service is behind a proxy that changes the host or the scheme;
by default links have the host of the request's Host header.
""",
        ),
        cfg.BoolOpt(
            'metrics',
            default=group == 'api',
            help="""
Whether the service exports metrics for Prometheus at ``/metrics``, which needs no token.

The metrics contain the names of pods, their capacity and their use. So this is off by default where tenants are
clients. Before you set it to True there, block the path for the network of tenants.
""",
        ),
        cfg.FloatOpt(
            'body_timeout',
            default=30.0,
            min=0.1,
            help='Seconds within which a client has to send the body of a request. A later one is answered with 408.',
        ),
        cfg.IntOpt(
            'keepalive_timeout', default=75, min=1, help='Seconds after which an idle client connection is closed.'
        ),
    ]


_SKIP_DOWN = cfg.BoolOpt(
    'list_records_by_skipping_down_pods',
    default=False,
    help="""
Whether a list or sum leaves out the part of a pod that is down or in maintenance.

With False such a list is answered with 503, as it would look complete: a client that deletes or creates what it does
not find in a list would do so for everything in that pod. The option has no effect on lists of servers from
microversion 2.69 without filter, sort key and paging: they contain a partial record for each server of the pod, as
Nova's do for a cell that is down.

Even with True, a list is an error if a pod refuses it, if something else than the service answers for the pod (a
redirect, a page of a proxy, JSON without the list), or if the pod does not answer within ``[pods] gather_timeout``: a
pod that is only slow is not down.

Nova's option ``list_records_by_skipping_down_cells`` is similar, but true by default.
""",
)


def opts_of(group: str) -> list[cfg.Opt]:
    opts = _server_opts(group)
    if group != 'api':
        opts.append(_SKIP_DOWN)
    return opts


def register_opts(conf: cfg.ConfigOpts) -> None:
    for group in PORTS:
        conf.register_opts(opts_of(group), group=group)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {group: opts_of(group) for group in PORTS}
