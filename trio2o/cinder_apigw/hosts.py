# SPDX-License-Identifier: Apache-2.0
"""Where names of hosts and clusters are looked up."""

from __future__ import annotations

from trio2o.gateway.admin.by_name import NameSource

BY_HOST = NameSource('Host', '/os-services', 'services', 'host', lambda name: [('host', name)])
BY_CLUSTER = NameSource('Cluster', '/clusters', 'clusters', 'name', lambda name: [('name', name)])
