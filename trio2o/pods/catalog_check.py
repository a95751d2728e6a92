# SPDX-License-Identifier: Apache-2.0
"""Check Keystone's catalog for what lets clients of tenants end in a pod, past Trio2o's quota, zones and routing.

A client in the top region has to find the gateways there. A client that names no region takes the first endpoint of a
service in the catalog, whatever its region. Horizon takes the region of the first identity endpoint whose URL is that
in its settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trio2o.pods.endpoints import COMPUTE, VOLUME, root_of
from trio2o.pods.health_check import Level
from trio2o.pods.identity import Catalog

#: The interface that clients use by default.
_PUBLIC = 'public'

#: Types by which clients look for block storage.
_VOLUME_TYPES = ('block-storage', 'volumev3', 'volumev2', 'volume', 'block-store')
#: Type -> the API behind it that is served by a gateway.
_GATEWAY_TYPES = {'compute': COMPUTE, **dict.fromkeys(_VOLUME_TYPES, VOLUME)}
_EXAMPLES = {COMPUTE: 'http://GATEWAY:19998/v2.1', VOLUME: 'http://GATEWAY:19997/v3'}
#: Type of an endpoint that the top region needs -> an example of its URL.
_NEEDED = {
    'compute': _EXAMPLES[COMPUTE],
    'block-storage': _EXAMPLES[VOLUME],
    'volumev3': _EXAMPLES[VOLUME],
    'identity': 'https://KEYSTONE/v3',
    'image': 'https://GLANCE',
    'network': 'https://NEUTRON',
}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint in the catalog."""

    id: str
    type: str
    interface: str
    region: str
    url: str


@dataclass(frozen=True)
class Problem:
    """Something in the catalog that sends clients to a pod, or to nowhere.

    :ivar todo: what to do about it: a command or a setting
    """

    level: Level
    text: str
    todo: str


def problems_of(
    catalog: Catalog,
    top: str,
    project_id: str | None = None,
    gateways: Mapping[str, str] | None = None,
    keystone_url: str | None = None,
) -> list[Problem]:
    """Find the problems of a catalog, the worst first.

    :param top: name of the top region
    :param project_id: project for which Keystone made the catalog, whose id can be in URLs
    :param gateways: COMPUTE, VOLUME -> URL of the gateway, as far as it is configured
    :param keystone_url: ``OPENSTACK_KEYSTONE_URL`` of Horizon; None: as in the catalog, with and without a slash
    """
    endpoints = list(_endpoints(catalog))
    if all(endpoint.region != top for endpoint in endpoints):
        return [
            Problem(
                Level.CRITICAL,
                f'The catalog has no endpoint in {top}, the top region.',
                'Create the endpoints of the installation guide, or correct [DEFAULT] region_name.',
            )
        ]
    found = [
        *_missing(endpoints, top),
        *_doubled(endpoints, top),
        *_past_gateways(endpoints, top, project_id, gateways or {}),
        *_first_in_pods(endpoints, top, project_id),
        *_horizon(endpoints, top, keystone_url),
    ]
    return sorted(found, key=lambda problem: -problem.level)


def _endpoints(catalog: Catalog) -> Iterator[Endpoint]:
    for entry in catalog:
        for endpoint in entry.get('endpoints', []):
            yield Endpoint(
                id=str(endpoint.get('id', '')),
                type=str(entry.get('type')),
                interface=str(endpoint.get('interface')),
                region=str(endpoint.get('region_id') or endpoint.get('region')),
                url=str(endpoint.get('url')),
            )


def _missing(endpoints: list[Endpoint], top: str) -> Iterator[Problem]:
    present = {endpoint.type for endpoint in endpoints if (endpoint.region, endpoint.interface) == (top, _PUBLIC)}
    has_volumes = bool(present & set(_VOLUME_TYPES))
    for kind, url in _NEEDED.items():
        if kind not in present:
            is_lost = kind == 'compute' or (kind in _VOLUME_TYPES and not has_volumes)
            yield Problem(
                Level.CRITICAL if is_lost else Level.WARNING,
                f'{top} has no public endpoint of type {kind}: clients that look for it there find none, and clients '
                'without a region find one of a pod.',
                f'openstack endpoint create --region {top} {kind} {_PUBLIC} {url}',
            )


def _doubled(endpoints: list[Endpoint], top: str) -> Iterator[Problem]:
    """Find endpoints after the first one of their type in the top region. Clients use either."""
    seen: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        if (endpoint.region, endpoint.interface) == (top, _PUBLIC) and endpoint.type in _NEEDED:
            first = seen.setdefault(endpoint.type, endpoint)
            if first is not endpoint:
                yield Problem(
                    Level.WARNING,
                    f'{top} has several public endpoints of type {endpoint.type}: {first.url} and {endpoint.url}.',
                    f'openstack endpoint delete {endpoint.id} (or {first.id})',
                )


def _past_gateways(
    endpoints: list[Endpoint], top: str, project_id: str | None, gateways: Mapping[str, str]
) -> Iterator[Problem]:
    """Find endpoints of the top region behind which is no gateway."""
    in_pods = {
        (service, root_of(service, endpoint.url, project_id)): endpoint.region
        for endpoint in reversed(endpoints)
        if endpoint.region != top and (service := _GATEWAY_TYPES.get(endpoint.type))
    }
    for endpoint in endpoints:
        service = _GATEWAY_TYPES.get(endpoint.type)
        if endpoint.region != top or service is None:
            continue
        url = root_of(service, endpoint.url, project_id)
        gateway = gateways.get(service, '').rstrip('/')
        command = f'openstack endpoint set --url {_EXAMPLES[service]} {endpoint.id}'
        where = f'The {endpoint.interface} {endpoint.type} endpoint of {top}, {endpoint.url},'
        if (service, url) in in_pods:
            yield Problem(
                Level.CRITICAL,
                f'{where} is an endpoint of {in_pods[service, url]}, too, and has to be the gateway.',
                command,
            )
        elif gateway and endpoint.interface == _PUBLIC and url != gateway:
            yield Problem(Level.WARNING, f'{where} is not the public_endpoint of the gateway, {gateway}.', command)


def _first_in_pods(endpoints: list[Endpoint], top: str, project_id: str | None) -> Iterator[Problem]:
    """Find the types of which a client without a region takes the endpoint of a pod."""
    public = [endpoint for endpoint in endpoints if endpoint.interface == _PUBLIC]
    for kind in dict.fromkeys([*_NEEDED, *_VOLUME_TYPES]):
        ours = [endpoint for endpoint in public if endpoint.type == kind and endpoint.region == top]
        first = next((endpoint for endpoint in public if endpoint.type == kind), None)
        if first is None or first.region == top or (not ours and kind in _NEEDED):
            continue
        if ours and _same(kind, first.url, ours[0].url, project_id):
            continue
        place = 'the first' if ours else 'the only one'
        yield Problem(
            Level.WARNING,
            f'A client without a region takes the {kind} endpoint of {first.region}, which is {place} in the catalog.',
            f'Name the region in clients (OS_REGION_NAME={top}), or give pods internal endpoints only, with [pods] '
            f'interface = internal: openstack endpoint set --interface internal {first.id}',
        )


def _same(kind: str, url: str, other: str, project_id: str | None) -> bool:
    service = _GATEWAY_TYPES.get(kind)
    if service is None:
        return url.rstrip('/') == other.rstrip('/')
    return root_of(service, url, project_id) == root_of(service, other, project_id)


def _horizon(endpoints: list[Endpoint], top: str, keystone_url: str | None) -> Iterator[Problem]:
    """Find the URLs of Keystone for which Horizon takes the region of a pod."""
    identity = [endpoint for endpoint in endpoints if endpoint.type == 'identity']
    ours = dict.fromkeys(endpoint.url for endpoint in identity if endpoint.region == top)
    urls = [spelling for url in ours for spelling in _spellings(url)] or [endpoint.url for endpoint in identity]
    if keystone_url:
        urls = [keystone_url]
    good = next((url for url in ours if _region_in_horizon(identity, url) == top), None)
    for url in dict.fromkeys(urls):
        region = _region_in_horizon(identity, url)
        if region not in (None, top):
            ids = ' '.join(endpoint.id for endpoint in identity if endpoint.url == url and endpoint.region != top)
            yield Problem(
                Level.WARNING,
                f'Users of Horizon get the region {region} if its OPENSTACK_KEYSTONE_URL is "{url}", as the first '
                'identity endpoint with exactly this URL is of that region.',
                (f'Set OPENSTACK_KEYSTONE_URL = "{good}" in Horizon, or: ' if good else '')
                + f'openstack endpoint delete {ids}',
            )


def _region_in_horizon(identity: list[Endpoint], keystone_url: str) -> str | None:
    """Return the region that Horizon chooses after a login; None: that of DEFAULT_SERVICE_REGIONS."""
    return next((endpoint.region for endpoint in identity if endpoint.url == keystone_url), None)


def _spellings(url: str) -> tuple[str, str]:
    return url, url.removesuffix('/') if url.endswith('/') else f'{url}/'
