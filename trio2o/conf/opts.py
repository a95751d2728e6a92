# SPDX-License-Identifier: Apache-2.0
"""All groups with their options, for ``oslo-config-generator``."""

from __future__ import annotations

from oslo_config import cfg

from trio2o.conf import GROUPS, service_auth


def list_opts() -> list[tuple[str | cfg.OptGroup, list[cfg.Opt]]]:
    """Every option by group, for ``oslo-config-generator``."""
    return [(name, opts) for group in (*GROUPS, service_auth) for name, opts in group.list_opts().items()]
