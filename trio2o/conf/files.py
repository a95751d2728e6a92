# SPDX-License-Identifier: Apache-2.0
"""Check at start of the files that options name. Libraries report a missing file late, and as another error."""

from __future__ import annotations

from oslo_config import cfg

from trio2o.conf import service_auth

#: Options of a TLS client.
TLS = ('cafile', 'certfile', 'keyfile')


class FileNotReadable(cfg.Error):
    """A file that an option names cannot be read."""


def check(conf: cfg.ConfigOpts) -> None:
    """Check that the certificates and keys for pods and for Keystone can be read.

    :raises FileNotReadable: one of them cannot
    """
    from keystonemiddleware import opts

    # keystonemiddleware registers these options later, when its middleware is made.
    (auth_token_opts,) = (options for group, options in opts.list_auth_token_opts() if group == 'keystone_authtoken')
    conf.register_opts([option for option in auth_token_opts if option.name in TLS], group='keystone_authtoken')
    accounts = [name for name in service_auth.pods_with_sections(conf) if service_auth.has_own_section(conf, name)]
    of_pods = (service_auth.section_of(name) for name in accounts)
    for group in ('pods', service_auth.GROUP, 'keystone_authtoken', *of_pods):
        for name in TLS:
            path = conf[group][name] if name in conf[group] else None
            if path:
                _read(f'[{group}] {name}', path)


def _read(option: str, path: str) -> None:
    try:
        with open(path, 'rb') as file:
            file.read(1)
    except OSError as error:
        raise FileNotReadable(f'{option} {path}: {error.strerror or error}') from None
