# SPDX-License-Identifier: Apache-2.0
"""Options of tempest.conf for a cloud behind Trio2o, in [trio2o]."""

from oslo_config import cfg

service_option = cfg.BoolOpt('trio2o', default=False, help='Whether the cloud under test is behind Trio2o.')

trio2o_group = cfg.OptGroup(name='trio2o', title='Trio2o, the gateway in front of the pods')

TRIO2O_OPTIONS: list[cfg.Opt] = [
    cfg.StrOpt('catalog_type', default='trio2o', help='Type of the Admin API in the catalog.'),
    cfg.StrOpt(
        'region',
        default='',
        help='Region of the Admin API and of the gateways, the one tenants see. Empty: [identity] region.',
    ),
    cfg.StrOpt(
        'endpoint_type',
        default='publicURL',
        choices=['public', 'admin', 'internal', 'publicURL', 'adminURL', 'internalURL'],
        help='Which of the endpoints of the Admin API to use.',
    ),
    cfg.IntOpt('build_timeout', default=180, help='Seconds to wait until a change has reached the pods.'),
    cfg.IntOpt('build_interval', default=1, help='Seconds between two checks.'),
    cfg.BoolOpt(
        'pods_reachable',
        default=True,
        help="""
Whether the tests may call a pod directly, in the region of its name. If False, tests are skipped that compare the
gateway's answers with a pod's resources, or that create resources without the gateway.
""",
    ),
    cfg.BoolOpt(
        'maintenance_tests',
        default=True,
        help="""
Whether the tests may take a pod out of service for some seconds. They run alone, but whoever else uses the cloud
notices.
""",
    ),
    cfg.StrOpt(
        'stop_pod_command',
        default='',
        help="""
Shell command that makes a pod unreachable, with ``{pod}`` for its name. With it and ``start_pod_command`` the tests of
a pod that is down also take one down for real; without, they use the state ``maintenance`` alone.
""",
    ),
    cfg.StrOpt(
        'start_pod_command',
        default='',
        help='Shell command that starts the pod again and returns when the pod answers.',
    ),
]
