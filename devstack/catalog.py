#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Moves endpoints between the regions of Keystone's catalog, for plugin.sh.

The openstack client takes seconds for each call, and a move needs some fifty calls. This program needs only
openstacksdk, and the cloud devstack-admin in clouds.yaml.

    catalog.py point RegionOne compute=http://... placement=    set the URL of compute, and remove that of placement
    catalog.py show-pod [--beside-gateway] RegionOne Pod1 ...   add a pod's own services to its region, and the shared
                                                                services to the regions of this pod and the others
    catalog.py restore RegionOne Pod1 ...                       restore the catalog as it was before stacking
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

import openstack

#: Types of the services of which every pod has its own, and of those that all pods share.
OF_PODS = ('compute', 'compute_legacy', 'placement', 'volumev3', 'block-storage')
SHARED = ('identity', 'image', 'network')
ADMIN = 'trio2o'
#: The interface of the endpoints that DevStack creates; a catalog may have others, too.
INTERFACE = 'public'


def _identity(cloud: str) -> Any:
    # Without a region: the one in clouds.yaml has Keystone, and that cloud allows no other.
    return openstack.connect(cloud=cloud).identity


class Catalog:
    """Keystone's endpoints, by region and type."""

    def __init__(self, cloud: str) -> None:
        self._identity = _identity(cloud)
        self._types = {service.id: service.type for service in self._identity.services()}
        self._regions = {region.id for region in self._identity.regions()}
        self._endpoints = list(self._identity.endpoints())

    def of(self, region: str, *types: str) -> list[Any]:
        return [
            endpoint
            for endpoint in self._endpoints
            if endpoint.region_id == region and (not types or self._types[endpoint.service_id] in types)
        ]

    def urls(self, region: str, type_: str) -> dict[str, str]:
        """Return the URLs of a service in a region by interface."""
        return {endpoint.interface: endpoint.url for endpoint in self.of(region, type_)}

    def show(self, region: str, type_: str, urls: dict[str, str]) -> None:
        """Set the URLs of a service in a region, and delete all others; do nothing if there is no such service."""
        service = next((id_ for id_, known in self._types.items() if known == type_), None)
        if service is None:
            return
        self._ensure_region(region)
        there = {endpoint.interface: endpoint for endpoint in self.of(region, type_)}
        for interface, url in urls.items():
            endpoint = there.pop(interface, None)
            if endpoint is None:
                made = self._identity.create_endpoint(
                    service_id=service, region_id=region, interface=interface, url=url
                )
                self._endpoints.append(made)
            elif endpoint.url != url:
                self._identity.update_endpoint(endpoint, url=url)
        for endpoint in there.values():
            self._delete(endpoint)

    def point(self, region: str, type_: str, url: str) -> None:
        """Set all endpoints of a service in a region, or a new public one, to a URL."""
        self.show(region, type_, dict.fromkeys(self.urls(region, type_) or [INTERFACE], url))

    def delete_endpoints(self, region: str, *types: str) -> None:
        for endpoint in self.of(region, *types):
            self._delete(endpoint)

    def delete_region_without_endpoints(self, region: str) -> None:
        """Delete a region if it has no endpoints."""
        if region in self._regions and not self.of(region):
            self._identity.delete_region(region)

    def delete_service_without_endpoints(self, type_: str) -> None:
        """Delete a service if it has no endpoints."""
        for service, known in self._types.items():
            if known == type_ and not any(endpoint.service_id == service for endpoint in self._endpoints):
                self._identity.delete_service(service)

    def _delete(self, endpoint: Any) -> None:
        self._identity.delete_endpoint(endpoint)
        self._endpoints.remove(endpoint)

    def _ensure_region(self, region: str) -> None:
        if region not in self._regions:
            self._identity.create_region(id=region)
            self._regions.add(region)


def point(catalog: Catalog, region: str, pairs: Iterable[str]) -> None:
    for pair in pairs:
        type_, _, url = pair.partition('=')
        if url:
            catalog.point(region, type_, url)
        else:
            catalog.delete_endpoints(region, type_)


def show_pod(catalog: Catalog, top: str, pod: str, others: Iterable[str], beside_gateway: bool) -> None:
    """Add a pod's services to its region, and the shared services to its region and those of other pods.

    On the node of the gateway, DevStack has created the endpoints in the top region, where they stay until those of
    the gateway replace them. If an earlier stack was interrupted, the top region may have endpoints of a gateway that
    does not run yet, so the endpoints in the pod's region win.
    """
    for type_ in OF_PODS:
        urls = catalog.urls(pod, type_) or (catalog.urls(top, type_) if beside_gateway else {})
        if not urls:
            continue
        catalog.show(pod, type_, urls)
        if beside_gateway:
            catalog.show(top, type_, urls)
    for region in (pod, *others):
        for type_ in SHARED:
            urls = catalog.urls(top, type_)
            if urls:
                catalog.show(region, type_, urls)


def restore(catalog: Catalog, top: str, pod: str, others: Iterable[str]) -> None:
    """Move the pod's services back to the top region; services of other nodes in the pods' regions stay."""
    show_pod(catalog, top, pod, (), beside_gateway=True)
    catalog.delete_endpoints(pod, *OF_PODS, *SHARED)
    catalog.delete_endpoints(top, ADMIN)
    for region in others:
        catalog.delete_endpoints(region, *SHARED)
    for region in (pod, *others):
        catalog.delete_region_without_endpoints(region)
    catalog.delete_service_without_endpoints(ADMIN)


def main() -> int:
    parser = argparse.ArgumentParser(description='Move endpoints between regions.')
    parser.add_argument('command', choices=['point', 'show-pod', 'restore'])
    parser.add_argument('region')
    parser.add_argument('rest', nargs='*')
    parser.add_argument('--beside-gateway', action='store_true')
    parser.add_argument('--os-cloud', default='devstack-admin')
    chosen = parser.parse_args()
    catalog = Catalog(chosen.os_cloud)
    if chosen.command == 'point':
        point(catalog, chosen.region, chosen.rest)
    elif chosen.command == 'show-pod':
        show_pod(catalog, chosen.region, chosen.rest[0], chosen.rest[1:], chosen.beside_gateway)
    else:
        restore(catalog, chosen.region, chosen.rest[0], chosen.rest[1:])
    return 0


if __name__ == '__main__':
    sys.exit(main())
