# SPDX-License-Identifier: Apache-2.0
"""Discovery of a pod's endpoints, from Keystone's catalog, and of their microversions, from version documents.

It runs when a pod is registered and in a periodic job, which store the result in the database; requests never wait
for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
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

#: Pods that are registered or join within so many seconds are looked up in the same catalog of Keystone.
CATALOG_SECONDS = 10.0

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


class PodEndpoints:
    """Finds the endpoints of pods in Keystone's catalog. One per process.

    The catalog has the endpoints of all pods: with a thousand of them it is megabytes. So the endpoints are kept by
    region for some seconds, for callers that look up one pod after another.
    """

    def __init__(self, conf: cfg.ConfigOpts, identity: Identity) -> None:
        self._conf = conf
        self._identity = identity
        self._read_at = 0.0
        self._urls: Mapping[str, Mapping[str, str]] = {}
        # One reads, and the others use what it has read.
        self._lock = threading.Lock()

    def read(self) -> None:
        """Read the catalog as it is now.

        :raises ServiceUnavailable: Keystone does not answer
        """
        with self._lock:
            self._read()

    def forget(self) -> None:
        """Let the next ``find`` read the catalog, as an operator is asked to correct it."""
        self._read_at = 0.0

    def find(self, region: str) -> dict[str, PodEndpoint]:
        """Find the endpoints of a region in a catalog that was read ``CATALOG_SECONDS`` ago at most.

        If the region is not in it, the catalog is read once more.

        :returns: by service, without versions; empty for a region without compute and volume endpoints
        :raises ServiceUnavailable: Keystone does not answer
        """
        with self._lock:
            started = time.monotonic()
            if not self._read_at or started - self._read_at > CATALOG_SECONDS:
                self._read()
            found = self._of(region)
            if not found and self._read_at < started:
                self._read()
                found = self._of(region)
            return found

    def urls(self, region: str) -> Mapping[str, str]:
        """Return the URLs of all services of a region, by type, in a catalog of ``CATALOG_SECONDS`` ago at most.

        :raises ServiceUnavailable: Keystone does not answer
        """
        self.find(region)
        return self._urls.get(region, {})

    def known(self, region: str) -> dict[str, PodEndpoint]:
        """Find the endpoints of a region in the catalog as it was read last, as ``find`` does."""
        return self._of(region)

    def _read(self) -> None:
        started = time.monotonic()
        self._urls = urls_by_region(self._identity.catalog(), self._conf.pods.interface)
        self._read_at = started

    def _of(self, region: str) -> dict[str, PodEndpoint]:
        urls = self._urls.get(region, {})
        wanted = {COMPUTE: ['compute'], VOLUME: self._conf.pods.volume_service_types}
        found = {}
        for service, types in wanted.items():
            for service_type in types:
                if urls.get(service_type):
                    found[service] = _endpoint(service, urls[service_type], self._identity.project_id())
                    break
        if found and (url := urls.get(PLACEMENT, '').rstrip('/')):
            found[PLACEMENT] = PodEndpoint(url, (url,))
        return found


def urls_by_region(catalog: Catalog, interface: str) -> dict[str, dict[str, str]]:
    """Return the URL of the first endpoint of each service type in each region of a catalog.

    :param catalog: as ``Identity.catalog`` returns it
    """
    found: dict[str, dict[str, str]] = {}
    for entry in catalog:
        service_type = str(entry.get('type'))
        for endpoint in entry.get('endpoints', []):
            if endpoint.get('interface') == interface:
                for region in {endpoint.get('region_id'), endpoint.get('region')} - {None}:
                    found.setdefault(region, {}).setdefault(service_type, str(endpoint['url']))
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
