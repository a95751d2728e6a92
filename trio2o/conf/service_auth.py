# SPDX-License-Identifier: Apache-2.0
"""Credentials of Trio2o's own user in Keystone, in [service_auth]: keystoneauth's options."""

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = 'service_auth'


def register_opts(conf: cfg.ConfigOpts) -> None:
    loading.register_auth_conf_options(conf, GROUP)
    loading.register_session_conf_options(conf, GROUP)


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {
        GROUP: [
            *loading.get_auth_common_conf_options(),
            *loading.get_session_conf_options(),
            *loading.get_auth_plugin_conf_options('password'),
        ]
    }
