# SPDX-License-Identifier: Apache-2.0
"""Description of the service for ``openstack.connection.Connection``."""

from __future__ import annotations

from typing import Any

from openstack import service_description

from trio2o.sdk.proxy import Proxy


class Trio2oService(service_description.ServiceDescription[Proxy]):
    """``conn.add_service(Trio2oService('trio2o'))`` gives ``conn.trio2o``."""

    supported_versions = {'1': Proxy}

    def _make_proxy(self, instance: Any) -> Any:
        # openstacksdk would look for one service type only, and disable the service if that is not in the catalog.
        proxy = instance.config.get_session_client(self.service_type, constructor=Proxy)
        proxy.endpoint_override = proxy.admin_api
        return proxy
