# SPDX-License-Identifier: Apache-2.0
"""Files that options name, looked at before anything is served: libraries tell of them late, and as something else."""

from __future__ import annotations

from oslo_config import cfg

#: Of a TLS client: whom to trust, and by what to be known.
TLS = ('cafile', 'certfile', 'keyfile')


class FileNotReadable(cfg.Error):
    """A file that an option names cannot be read."""


def check(conf: cfg.ConfigOpts) -> None:
    """See that the certificates and keys of all who are asked can be read.

    :raises FileNotReadable: one cannot
    """
    from keystonemiddleware import opts

    # The middleware registers its options, these among them, when it is made.
    (of_tokens,) = (options for group, options in opts.list_auth_token_opts() if group == 'keystone_authtoken')
    conf.register_opts([option for option in of_tokens if option.name in TLS], group='keystone_authtoken')
    for group in ('pods', 'service_auth', 'keystone_authtoken'):
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
