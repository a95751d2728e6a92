# SPDX-License-Identifier: Apache-2.0
"""Options of the dashboard that the Admin API serves, in [dashboard]."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.BoolOpt('enabled', default=True, help='Whether the Admin API serves the dashboard at ``/dashboard``.'),
    cfg.BoolOpt(
        'allow_http',
        default=False,
        help="""
Whether the dashboard can be used over plain HTTP, where others on the network can read passwords and tokens.

Set it to True only for tests, or where only this host can reach the service. It is not needed behind a proxy that
terminates TLS: the dashboard learns the scheme that the browser uses from the proxy's headers if ``[oslo_middleware]
enable_proxy_headers_parsing`` is set, and otherwise from ``[api] public_endpoint``.
""",
    ),
    cfg.IntOpt(
        'refresh_seconds',
        default=15,
        min=0,
        help='Seconds after which a browser loads a page of the dashboard again; 0: never.',
    ),
    cfg.FloatOpt(
        'probe_seconds',
        default=10.0,
        min=0.0,
        help='Seconds for which the result of a health check of all pods is shown before pods are checked again. All '
        'users of the dashboard share it.',
    ),
    cfg.FloatOpt(
        'probe_timeout',
        default=2.0,
        min=0.01,
        help='Seconds that a health check for the dashboard waits for each pod.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    # A new group for each configuration, as oslo.config changes the group.
    conf.register_group(cfg.OptGroup('dashboard', title='The dashboard'))
    conf.register_opts(OPTS, group='dashboard')


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'dashboard': OPTS}
