# SPDX-License-Identifier: Apache-2.0
"""A pod's API as Trio2o itself uses it: JSON documents, sent with the token of Trio2o's own account for the pod.

It uses ``PodClient``, so breakers, connection pools and timeouts are those of tenants' requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from trio2o import exception
from trio2o.pods.client import PodClient
from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.pods.identity import FAILURES, Identity
from trio2o.pods.own_answers import is_missing, is_unknown_path
from trio2o.pods.registry import PodView
from trio2o.web import json_body
from trio2o.web.call import Answer

_ADMIN_VERSIONS = {COMPUTE: '2.1', VOLUME: '3.0'}


class PodRefused(Exception):
    """A pod answered 4xx to a request of Trio2o itself.

    :ivar is_missing: whether the service itself says that the resource in the path does not exist
    """

    def __init__(self, pod_name: str, status: int, text: str, is_missing: bool = False) -> None:
        super().__init__(f'pod {pod_name} refused: {text} ({status})')
        self.status = status
        self.text = text
        self.is_missing = is_missing


class PodApi:
    """One service of one pod."""

    def __init__(
        self,
        client: PodClient,
        identity: Identity,
        pod: PodView,
        service: str,
        timeout: float | None = None,
        ids_up: Callable[[], Mapping[str, str]] = dict,
        project_id: str = '',
    ) -> None:
        """
        :param identity: gives the account for the pod
        :param timeout: seconds for each call; the configured read timeout if None
        :param ids_up: returns, by the id in this pod, the id that tenants see, where the two differ
        :param project_id: the project that owns what is created; '': that of the account
        """
        self.pod = pod
        self._client = client
        account = identity.account_of(pod.name)
        self._account = account.in_project(project_id) if project_id else account
        self._service = service
        self._timeout = timeout
        self._ids_up = ids_up

    def id_up(self, bottom_id: str) -> str:
        """Translate an id in the pod into the id that tenants see."""
        return self._ids_up().get(bottom_id, bottom_id)

    def id_down(self, top_id: str) -> str:
        """Translate an id that tenants see into the id in the pod."""
        return next((below for below, above in self._ids_up().items() if above == top_id), top_id)

    def can(self, version: str) -> bool:
        """Whether the pod has a microversion; True as long as its versions are not known."""
        endpoint = self.pod.endpoints.get(self._service)
        if endpoint is None or not endpoint.max_version:
            return True
        return _number(version) <= _number(endpoint.max_version)

    def get(self, path: str, version: str) -> Any:
        """Read a document.

        :returns: None if the service answers 404
        :raises PodError: no complete answer came, or it was 5xx or no path of the service
        :raises PodRefused: the pod answered 4xx, 404 apart
        """
        try:
            return self.send('GET', path, version).json
        except PodRefused as error:
            if error.status == 404:
                return None
            raise

    def find(self, path: str, version: str) -> Any:
        """Read the document of a resource that may not exist.

        :returns: None if the service itself says so; a 404 of a balancer proves nothing
        :raises PodError: no complete answer came, or it was 5xx, or a 404 in other words than the service's
        :raises PodRefused: the pod answered 4xx, 404 apart
        """
        try:
            return self.send('GET', path, version).json
        except PodRefused as error:
            if error.is_missing:
                return None
            if error.status == 404:
                reason = f'something before {self._service} answered 404'
                raise exception.PodNoAnswer(self.pod.name, reason, is_down=False) from error
            raise

    def get_list(self, path: str, version: str, *, has_marker: bool = False) -> Any:
        """Read a collection, which exists even if it is empty.

        :param has_marker: whether the query has a marker, which the pod may not have any more
        :raises PodError: no complete answer came, or it was 5xx; or 404 without a marker
        :raises PodRefused: the pod answered 4xx
        """
        try:
            return self.send('GET', path, version).json
        except PodRefused as error:
            if error.status != 404 or has_marker:
                raise
            raise exception.PodNoAnswer(self.pod.name, f'{self._service} answered 404 to a list') from error

    def check_is_admin(self) -> None:
        """Check that the service takes Trio2o's user for an administrator, who sees the resources of all projects.

        :raises PodError: no complete answer came, or it was 5xx
        :raises PodRefused: it does not
        """
        try:
            # Only administrators may list services. None has this name, so the answer is short.
            self.get_list('/os-services?binary=trio2o', _ADMIN_VERSIONS[self._service])
        except PodRefused as error:
            if error.status not in (401, 403):
                raise
            text = (
                f'{self._service} does not take the user of [{self._account.section}] for an administrator: '
                f'{error.text}'
            )
            raise PodRefused(self.pod.name, error.status, text) from error

    def send(
        self,
        method: str,
        path: str,
        version: str,
        document: Mapping[str, Any] | None = None,
        is_repeated: bool = True,
    ) -> Answer:
        """Send a request.

        :param version: microversion; the pod's highest is used if that is lower
        :param is_repeated: whether a read may be sent a second time
        :raises PodError: no complete answer came, or it was 5xx or no path of the service
        :raises PodRefused: the pod answered 4xx
        """
        answer = self._send_once(method, path, version, document, is_repeated)
        if answer.status == 401:
            # Our token may have been revoked: try once more with a new one.
            self._account.forget_token()
            answer = self._send_once(method, path, version, document, is_repeated)
        if answer.status >= 500 or is_unknown_path(answer):
            text = f'{self._service} answered {answer.status}'
            raise exception.PodNoAnswer(self.pod.name, text)
        if answer.status >= 400:
            raise PodRefused(self.pod.name, answer.status, _message(answer), is_missing(answer))
        return answer

    def _send_once(
        self,
        method: str,
        path: str,
        version: str,
        document: Mapping[str, Any] | None,
        is_repeated: bool,
    ) -> Answer:
        headers = [
            *self._account.headers(),
            ('Accept', 'application/json'),
            ('OpenStack-API-Version', f'{self._service} {self._lowered(version)}'),
        ]
        body = None
        if document is not None:
            headers.append(('Content-Type', 'application/json'))
            body = orjson.dumps(document)
        return self._client.send(
            self.pod,
            self._service,
            method,
            self._prefix() + path,
            headers,
            body,
            self._timeout,
            is_repeated,
        )

    def _prefix(self) -> str:
        """The project in the path, which Cinder requires below microversion 3.67."""
        if self._service != VOLUME:
            return ''
        try:
            project_id = self._account.project_id()
        except FAILURES as error:
            reason = type(error).__name__
            raise exception.ServiceUnavailable(f'Keystone gave no token: {reason}') from error
        return f'/{project_id}' if project_id else ''

    def _lowered(self, version: str) -> str:
        return version if self.can(version) else self.pod.endpoints[self._service].max_version


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split('.')))


def _message(answer: Answer) -> str:
    """Return the message of an error answer, or the beginning of its body if it has none."""
    return json_body.error_message(answer.json) or answer.body[:200].decode(errors='replace')
