# SPDX-License-Identifier: Apache-2.0
"""Credentials of Trio2o's own users in Keystone: keystoneauth's options.

Those of ``[service_auth]`` are for Keystone, and for all pods without a section of their own: ``[service_auth:Pod2]``.
"""

from keystoneauth1 import loading
from oslo_config import cfg

GROUP = 'service_auth'

_HELP = """
The user of Trio2o itself, for Keystone and for the pods. A section such as [service_auth:Pod2], with the same options,
has the user for one pod, which then gets no token of this one.
"""


def section_of(pod_name: str) -> str:
    """Return the section with the credentials for one pod."""
    return f'{GROUP}:{pod_name}'


def has_own_section(conf: cfg.ConfigOpts, pod_name: str) -> bool:
    """Return whether the configuration has a section for one pod, and make its options readable.

    It may be incomplete. Then calls to the pod fail: with the credentials of ``[service_auth]`` instead, the pod would
    get a token that is good for the others.
    """
    if pod_name.lower() not in pods_with_sections(conf):
        return False
    loading.register_auth_conf_options(conf, section_of(pod_name))
    loading.register_session_conf_options(conf, section_of(pod_name))
    return True


def pods_with_sections(conf: cfg.ConfigOpts) -> list[str]:
    """Return the names in lower case that sections for pods have, whether there are such pods or not."""
    prefix = f'{GROUP}:'
    sections = (section.lower() for section in conf.list_all_sections())
    return sorted({section.removeprefix(prefix) for section in sections if section.startswith(prefix)})


def register_opts(conf: cfg.ConfigOpts) -> None:
    loading.register_auth_conf_options(conf, GROUP)
    loading.register_session_conf_options(conf, GROUP)


def list_opts() -> dict[cfg.OptGroup, list[cfg.Opt]]:
    return {
        cfg.OptGroup(GROUP, help=_HELP): [
            *loading.get_auth_common_conf_options(),
            *loading.get_session_conf_options(),
            *loading.get_auth_plugin_conf_options('password'),
        ]
    }
