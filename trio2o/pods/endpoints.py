# SPDX-License-Identifier: Apache-2.0
"""Discovery of a pod's endpoints, from Keystone's catalog, and of their microversions, from version documents.

It runs when a pod is registered and in a periodic job, which store the result in the database; requests never wait
for it.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from cinderclient import client as cinder_client
from cinderclient import exceptions as cinder_exceptions
from novaclient import client as nova_client
from novaclient import exceptions as nova_exceptions
from oslo_config import cfg

from trio2o.pods.identity import FAILURES, Account, Catalog, Identity
from trio2o.web.microversion import Version

LOG = logging.getLogger(__name__)

COMPUTE = 'compute'
VOLUME = 'volume'
#: The capacity of a pod is read from it. Requests of tenants do not use it, and a pod need not have it.
PLACEMENT = 'placement'

#: Service -> last path segment of its versioned endpoint.
_VERSION_SEGMENTS = {COMPUTE: ('v2.1', 'v2'), VOLUME: ('v3',)}

#: What the clients raise for a version document that they cannot get or read.
_FAILURES = (*FAILURES, LookupError, TypeError)


@dataclass(frozen=True)
class PodEndpoint:
    """One API of one pod.

    :ivar url: with version, without project and trailing slash: ``http://pod1:8774/v2.1``
    :ivar roots: URLs, without version, that links in the pod's answers may start with
    :ivar min_version: lowest microversion; '' as long as the pod's version document was never read
    """

    url: str
    roots: tuple[str, ...]
    min_version: str = ''
    max_version: str = ''

    @property
    def range(self) -> tuple[Version, Version] | None:
        if not self.max_version:
            return None
        return Version.parse(self.min_version), Version.parse(self.max_version)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PodEndpoint:
        return cls(data['url'], tuple(data['roots']), data['min_version'], data['max_version'])

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), 'roots': list(self.roots)}


def find(conf: cfg.ConfigOpts, identity: Identity, catalog: Catalog, region: str) -> dict[str, PodEndpoint]:
    """Find the endpoints of a region in Keystone's catalog.

    :param catalog: as ``Identity.catalog`` returns it. It has the endpoints of all pods
    :returns: by service, without versions; empty for a region without compute and volume endpoints
    """
    wanted = {COMPUTE: ['compute'], VOLUME: conf.pods.volume_service_types}
    found = {}
    for service, types in wanted.items():
        for service_type in types:
            url = _url(catalog, service_type, region, conf.pods.interface)
            if url:
                found[service] = _endpoint(service, url, identity.project_id())
                break
    if found and (url := _url(catalog, PLACEMENT, region, conf.pods.interface)):
        found[PLACEMENT] = PodEndpoint(url.rstrip('/'), (url.rstrip('/'),))
    return found


def with_versions(account: Account, service: str, endpoint: PodEndpoint) -> PodEndpoint:
    """Read the version document of an endpoint.

    :param account: that of the pod
    :returns: the endpoint with the versions found, or unchanged if the pod gives no usable document
    """
    if service not in _VERSION_OF:
        return endpoint
    try:
        document = _VERSION_OF[service](account, endpoint.url)
    except (*_FAILURES, nova_exceptions.ClientException, cinder_exceptions.ClientException) as error:
        LOG.info('No versions could be read from %s: %s', endpoint.url, type(error).__name__)
        return endpoint
    if document is None or not document.version:
        return endpoint
    links = [link['href'] for link in document.links if link.get('rel') == 'self']
    roots = dict.fromkeys([*endpoint.roots, *(_root(service, link) for link in links)])
    return PodEndpoint(endpoint.url, tuple(roots), document.min_version, document.version)


def redirect_of(account: Account, endpoint: PodEndpoint) -> str | None:
    """Return the URL that an endpoint redirects clients to; None if it does not, or gives no answer.

    Something in front of the service redirects then, for example from HTTP to HTTPS. No token is sent.
    """
    try:
        answer = account.pod_session.get(f'{endpoint.url}/', raise_exc=False, authenticated=False)
    except FAILURES:
        return None
    return answer.headers.get('Location') if 300 < answer.status_code < 400 else None


def _nova_version(account: Account, url: str) -> Any:
    client = nova_client.Client('2.1', session=account.pod_session, endpoint_override=f'{url}/')
    return client.versions.get_current()


def _cinder_version(account: Account, url: str) -> Any:
    client = cinder_client.Client('3.0', session=account.pod_session, endpoint_override=f'{url}/')
    versions = client.services.server_api_version()
    return next((version for version in versions if version.id.startswith('v3')), None)


_VERSION_OF = {COMPUTE: _nova_version, VOLUME: _cinder_version}


def _url(catalog: Catalog, service_type: str, region: str, interface: str) -> str | None:
    for entry in catalog:
        if entry.get('type') != service_type:
            continue
        for endpoint in entry.get('endpoints', []):
            if endpoint.get('interface') == interface and region in (
                endpoint.get('region_id'),
                endpoint.get('region'),
            ):
                return str(endpoint['url'])
    return None


def root_of(service: str, url: str, project_id: str | None) -> str:
    """Return the URL of an API, without version and project, from that of an endpoint in the catalog."""
    return _endpoint(service, url, project_id).roots[0]


def _endpoint(service: str, url: str, project_id: str | None) -> PodEndpoint:
    url = url.rstrip('/')
    if project_id and url.endswith(project_id):
        url = url[: -len(project_id)].removesuffix('AUTH_').rstrip('/')
    if url.rsplit('/', 1)[-1] not in _VERSION_SEGMENTS[service]:
        url = f'{url}/{_VERSION_SEGMENTS[service][0]}'
    return PodEndpoint(url, (_root(service, url),))


def _root(service: str, url: str) -> str:
    url = url.rstrip('/')
    head, _slash, last = url.rpartition('/')
    return head if last in _VERSION_SEGMENTS[service] else url
