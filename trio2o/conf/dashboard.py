# SPDX-License-Identifier: Apache-2.0
"""Options of the operator's page that the Admin API serves, in [dashboard]."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        'enabled', default=True, help='Whether the Admin API answers at ``/dashboard`` with a page to look at.'
    ),
    cfg.IntOpt(
        'refresh_seconds', default=15, min=0, help='Seconds after which the page is loaded again by itself; 0: never.'
    ),
    cfg.FloatOpt(
        'probe_seconds',
        default=10.0,
        min=0.0,
        help='Seconds for which what pods answered is shown, before they are asked again. All who look share it.',
    ),
    cfg.FloatOpt(
        'probe_timeout',
        default=2.0,
        min=0.01,
        help='Seconds that pods have to answer while somebody waits for the page.',
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    # One for each configuration: what is set in one must not be set in another.
    conf.register_group(cfg.OptGroup('dashboard', title="The operator's page"))
    conf.register_opts(OPTS, group='dashboard')


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'dashboard': OPTS}
