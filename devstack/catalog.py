#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Moves endpoints between the regions of Keystone's catalog, for plugin.sh.

The openstack client takes seconds for each endpoint it looks at, and a move is some fifty looks. Needs nothing but
openstacksdk, and the cloud devstack-admin in clouds.yaml.

    catalog.py point RegionOne compute=http://... placement=    these URLs, and none of placement
    catalog.py show-pod [--beside-gateway] RegionOne Pod1 ...   a pod's own services in its region; there and in the
                                                                regions of other pods the shared ones
    catalog.py restore RegionOne Pod1 ...                       as it was before stacking
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

import openstack

#: Types of services that every pod has for itself, and those that all share.
OF_PODS = ('compute', 'compute_legacy', 'placement', 'volumev3', 'block-storage')
SHARED = ('identity', 'image', 'network')
ADMIN = 'trio2o'
#: What DevStack makes of a URL; there may be more of them.
INTERFACE = 'public'


def _identity(cloud: str) -> Any:
    # In the region clouds.yaml names: it has Keystone, and no other is allowed for that cloud.
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
        """Where a service is in a region, by interface."""
        return {endpoint.interface: endpoint.url for endpoint in self.of(region, type_)}

    def show(self, region: str, type_: str, urls: dict[str, str]) -> None:
        """Let a service have these URLs in a region, and no other; nothing where there is no such service."""
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
        """Let whatever a region has of a service, or else what DevStack makes, be one URL."""
        self.show(region, type_, dict.fromkeys(self.urls(region, type_) or [INTERFACE], url))

    def take_out(self, region: str, *types: str) -> None:
        for endpoint in self.of(region, *types):
            self._delete(endpoint)

    def forget(self, region: str) -> None:
        """Delete a region that has nothing any more."""
        if region in self._regions and not self.of(region):
            self._identity.delete_region(region)

    def forget_service(self, type_: str) -> None:
        """Delete a service that no region has any more."""
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
            catalog.take_out(region, type_)


def show_pod(catalog: Catalog, top: str, pod: str, others: Iterable[str], beside_gateway: bool) -> None:
    """Show a pod's services in its region, and the shared ones there and in those of other pods.

    Beside the gateway DevStack put them into the top region, where they stay until the gateway takes their place.
    After a stack that ended early the top region may show a gateway that is not there yet: what the pod's region has
    is the truth.
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
    """Put the pod's services into the top region again and drop its own; what other nodes have there stays."""
    show_pod(catalog, top, pod, (), beside_gateway=True)
    catalog.take_out(pod, *OF_PODS, *SHARED)
    catalog.take_out(top, ADMIN)
    for region in others:
        catalog.take_out(region, *SHARED)
    for region in (pod, *others):
        catalog.forget(region)
    catalog.forget_service(ADMIN)


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
