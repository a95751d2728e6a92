# SPDX-License-Identifier: Apache-2.0
"""The API of Glance or Neutron of a pod, as Trio2o itself uses it. Pods may share these services.

Tenants call them directly, so nothing of a tenant's request comes here. Only jobs and plans of moves use this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from keystoneauth1 import exceptions

from trio2o import exception
from trio2o.pods.endpoints import PodEndpoints
from trio2o.pods.identity import Account, Identity
from trio2o.pods.podapi import PodRefused

IMAGE, NETWORK = 'image', 'network'
#: Service -> the version in its paths.
_VERSIONS = {IMAGE: 'v2', NETWORK: 'v2.0'}


class SharedApi:
    """One service at one URL.

    :ivar root: the beginning of its URLs; equal for two pods that share the service
    """

    def __init__(self, account: Account, service: str, url: str, pod_name: str) -> None:
        """
        :param url: that of the catalog, with or without a version
        :param pod_name: for errors
        """
        self.root = root_of(url, service)
        self.service = service
        self._account = account
        self._pod_name = pod_name

    def get(self, path: str) -> Any:
        """Read a document below the version.

        :returns: None if the service itself answers that there is no such object
        :raises PodError: no complete answer came, or it was 5xx, or a 404 in other words than the service's
        :raises PodRefused: the service answered 4xx, 404 apart
        """
        try:
            return self.send('GET', path)
        except PodRefused as error:
            if error.status == 404:
                return None
            raise

    def send(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:
        """Send a request.

        :returns: the document of the answer; None if it has none
        :raises PodError: as ``get``
        :raises PodRefused: the service answered 4xx
        """
        url = f'{self.root}/{_VERSIONS[self.service]}{path}'
        try:
            answer = self._account.pod_session.request(url, method, json=document, raise_exc=False)
        except exceptions.ConnectionError as error:
            reason = f'{self.service} does not answer: {type(error).__name__}'
            raise exception.PodNoAnswer(self._pod_name, reason) from error
        except exceptions.ClientException as error:
            raise exception.ServiceUnavailable(f'Keystone gave no token: {type(error).__name__}') from error
        if answer.status_code >= 500:
            raise exception.PodNoAnswer(self._pod_name, f'{self.service} answered {answer.status_code}')
        if answer.status_code >= 400:
            if answer.status_code == 404 and not self._is_missing(answer):
                raise exception.PodNoAnswer(self._pod_name, f'something before {self.service} answered 404')
            raise PodRefused(self._pod_name, answer.status_code, answer.text[:200])
        return answer.json() if answer.content else None

    def _is_missing(self, answer: Any) -> bool:
        """Whether the service itself says that it does not have an object."""
        if self.service == NETWORK:
            return 'NeutronError' in answer.text
        # In an HTML page.
        return 'No image found with ID' in answer.text or 'Failed to find image' in answer.text


def shared_api(identity: Identity, endpoints: PodEndpoints, pod_name: str, service: str) -> SharedApi | None:
    """Return the API of a service of a pod; None if the catalog has none for its region."""
    url = endpoints.urls(pod_name).get(service)
    return SharedApi(identity.account_of(pod_name), service, url, pod_name) if url else None


def root_of(url: str, service: str) -> str:
    """Return the URL of a service without its version."""
    url = url.rstrip('/')
    last = urlsplit(url).path.rsplit('/', 1)[-1]
    return url.removesuffix(f'/{last}') if last in (_VERSIONS[service], 'v2') else url
