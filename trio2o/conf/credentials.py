# SPDX-License-Identifier: Apache-2.0
"""Check at start of the sections with credentials for Keystone. Without them every request would fail later."""

from __future__ import annotations

from keystoneauth1 import loading
from oslo_config import cfg

from trio2o.conf import service_auth

AUTHTOKEN_GROUP = 'keystone_authtoken'


class CredentialsMissing(cfg.Error):
    """A section does not say how to authenticate with Keystone."""


def check(conf: cfg.ConfigOpts) -> None:
    """Check that the sections for validating tokens and for Trio2o's own user name a method of authentication.

    :raises CredentialsMissing: one of them does not
    """
    for group in (AUTHTOKEN_GROUP, service_auth.GROUP):
        loading.register_auth_conf_options(conf, group)
        section = conf[group].auth_section or group
        loading.register_auth_conf_options(conf, section)
        if not conf[section].auth_type:
            raise CredentialsMissing(
                f'[{section}] auth_type is not set, so Trio2o cannot log in to Keystone: '
                'doc/source/install/index.rst shows the section'
            )
