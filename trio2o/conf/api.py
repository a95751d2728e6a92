# SPDX-License-Identifier: Apache-2.0
"""Options of the three HTTP services: [api], [nova_apigw], [cinder_apigw]."""

from oslo_config import cfg

PORTS = {'api': 19996, 'cinder_apigw': 19997, 'nova_apigw': 19998}


def _server_opts(port: int) -> list[cfg.Opt]:
    return [
        cfg.HostAddressOpt('bind_host', default='0.0.0.0', help='Address the service listens on.'),  # nosec
        cfg.PortOpt('bind_port', default=port, help='Port the service listens on.'),
        cfg.IntOpt(
            'workers',
            default=1,
            min=1,
            help='Processes to serve with. One serves in the process that was started.',
        ),
        cfg.IntOpt(
            'threads',
            default=128,
            min=1,
            help='Requests each process serves at once, on green or native threads.',
        ),
        cfg.URIOpt(
            'public_endpoint',
            help="""
URL under which clients reach the service, without version, such as ``https://cloud.example.org:8774``.

Links and version documents carry it. Without it they follow the Host header of the request.
""",
        ),
        cfg.BoolOpt(
            'metrics',
            default=True,
            help="""
Whether the service answers at ``/metrics``, without a token, with counters for Prometheus.

They name the pods: keep that path from the network of tenants, or switch it off here.
""",
        ),
        cfg.IntOpt('keepalive_timeout', default=75, min=1, help='Seconds an idle client connection is kept open.'),
    ]


_SKIP_DOWN = cfg.BoolOpt(
    'list_records_by_skipping_down_pods',
    default=True,
    help="""
Whether a list answers from the pods that can be reached when one cannot.

With False such a list is a 503. Where the API has a form for records of a part that is down (compute from
microversion 2.69, no filter, sort or paging) those are given and this option does not matter.
""",
)


def opts_of(group: str) -> list[cfg.Opt]:
    opts = _server_opts(PORTS[group])
    if group != 'api':
        opts.append(_SKIP_DOWN)
    return opts


def register_opts(conf: cfg.ConfigOpts) -> None:
    for group in PORTS:
        conf.register_opts(opts_of(group), group=group)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {group: opts_of(group) for group in PORTS}
