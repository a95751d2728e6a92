# SPDX-License-Identifier: Apache-2.0
"""The Admin API as the commands see it: documents out and in, whole lists, pods by name, errors in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa_exc
from osc_lib import exceptions

Json = dict[str, Any]

#: The second is what the first Trio2o was registered as.
SERVICE_TYPES = ('trio2o', 'Cascading')
VERSION = '/v1.0'


class Refused(exceptions.CommandError):
    """The Admin API said no; ``status`` is the HTTP status it said it with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """The Admin API of one region.

    :param session: a keystoneauth1 session
    :param endpoint: URL to use instead of the catalog's
    """

    def __init__(
        self,
        session: Any,
        region_name: str | None = None,
        interface: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        self._adapter = adapter.Adapter(
            session, region_name=region_name, interface=interface, user_agent='python-openstackclient trio2o'
        )
        self._endpoint = endpoint

    @property
    def endpoint(self) -> str:
        """Where the Admin API is, version included."""
        if not self._endpoint:
            self._endpoint = self._from_catalog()
        url = self._endpoint.rstrip('/')
        return url if url.endswith(VERSION) else url + VERSION

    def _from_catalog(self) -> str:
        for service_type in SERVICE_TYPES:
            try:
                found = self._adapter.get_endpoint(service_type=service_type)
            except ksa_exc.CatalogException:
                continue
            if found:
                return str(found)
        region = self._adapter.region_name
        raise exceptions.CommandError(
            f"The catalog has no endpoint of service type 'trio2o'{f' in region {region}' if region else ''}. "
            'Name the Admin API with --os-trio2o-endpoint or OS_TRIO2O_ENDPOINT, ask in the top region '
            '(--os-region-name), or let an administrator create the service and its endpoint.'
        )

    def request(self, method: str, path: str, json: Any = None, query: Mapping[str, Any] | None = None) -> Json:
        """One request.

        :param path: below the version; ids in it are quoted already
        :raises Refused: with what the Admin API said
        """
        url = self.endpoint + path
        params = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            response = self._adapter.request(url, method, json=json, params=params, raise_exc=False)
        except ksa_exc.ConnectFailure as error:
            raise exceptions.CommandError(
                f'The Admin API does not answer at {self.endpoint}: {error}. Does trio2o-api run there? '
                'Another address can be given with --os-trio2o-endpoint.'
            ) from error
        document = _document(response)
        if response.status_code >= 400:
            raise Refused(_reason(method, path, response, document), response.status_code)
        return document

    def get(self, path: str, **query: Any) -> Json:
        return self.request('GET', path, query=query)

    def post(self, path: str, json: Any = None) -> Json:
        return self.request('POST', path, json)

    def patch(self, path: str, json: Any) -> Json:
        return self.request('PATCH', path, json)

    def delete(self, path: str, **query: Any) -> Json:
        return self.request('DELETE', path, query=query)

    def list(self, path: str, key: str, limit: int | None = None, **query: Any) -> Iterator[Json]:
        """Everything a list has, page by page, or the first ``limit`` of it."""
        wanted = {**query, 'limit': limit}
        left = limit
        while left is None or left > 0:
            page = self.get(path, **wanted)
            items = page[key] if left is None else page[key][:left]
            yield from items
            links = page.get(f'{key}_links')
            if not links:
                return
            if left is not None:
                left -= len(items)
                wanted['limit'] = left
            # Only the marker is taken from the link: its host is the one the server knows itself by.
            wanted['marker'] = dict(parse_qsl(urlsplit(links[0]['href']).query))['marker']

    def pod(self, name_or_id: str) -> Json:
        """A pod by name, else by id.

        :raises CommandError: there is none
        """
        found = self.get('/pods', pod_name=name_or_id)['pods']
        if found:
            return dict(found[0])
        try:
            return dict(self.get(f'/pods/{quoted(name_or_id)}')['pod'])
        except Refused as error:
            if error.status != 404:
                raise
            raise exceptions.CommandError(
                f"No pod has the name or ID '{name_or_id}'. 'openstack trio2o pod list' shows what there is."
            ) from error

    def pod_names(self) -> dict[str, str]:
        """Pod id to name."""
        return {pod['pod_id']: pod['pod_name'] for pod in self.list('/pods', 'pods')}


def quoted(part: str) -> str:
    """An id as part of a path."""
    return quote(part, safe='')


def _document(response: Any) -> Json:
    try:
        document = response.json() if response.content else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _reason(method: str, path: str, response: Any, document: Json) -> str:
    inner = next(iter(document.values()), None)
    message = inner.get('message') if isinstance(inner, dict) else None
    status = response.status_code
    if not message or (status in (404, 405) and '/' not in path[1:]):
        return f'The Admin API answered {method} {path} with {status} {response.reason}. Is that its address?'
    if status == 401:
        return f'{message} (401): the Admin API does not take this token; is its [keystone_authtoken] right?'
    if status == 403:
        return (
            f"{message} (403). Looking needs the role 'admin', or 'reader' of the whole system "
            "(--os-system-scope all); changing needs 'admin'."
        )
    request_id = response.headers.get('x-openstack-request-id')
    return f'{message} ({status}{f", request {request_id}" if status >= 500 and request_id else ""})'
