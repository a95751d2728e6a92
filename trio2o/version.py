# SPDX-License-Identifier: Apache-2.0
"""The version of the installed package, from its metadata (pbr takes it from git)."""

from importlib import metadata

PACKAGE = 'trio2o'


def version_string() -> str:
    """Return the version of the installed package; 0.0.0 in a checkout that was never installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return '0.0.0'
