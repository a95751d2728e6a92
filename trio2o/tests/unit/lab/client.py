# SPDX-License-Identifier: Apache-2.0
"""A short way to send requests to an emulated pod."""

import dataclasses
import json
from typing import Any

from trio2o.lab.emulated.topology import Cloud


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of the pod."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The text of a fault."""
        return next(iter(self.json.values()))['message']


class Client:
    """One user's view of one pod."""

    def __init__(self, cloud: Cloud, pod: str = 'Pod1', user: str = 'demo', timeout: float | None = 10.0) -> None:
        self.cloud = cloud
        self.pod = cloud.pod(pod)
        self.token = cloud.token(user)
        self.timeout = timeout
        self.transport = cloud.transport()

    def nova(self, method: str, path: str, body: Any = None, version: str | None = None, **headers: str) -> Answer:
        return self._send(method, self.pod.nova_url + path, body, version and f'compute {version}', headers)

    def cinder(self, method: str, path: str, body: Any = None, version: str | None = None, **headers: str) -> Answer:
        return self._send(method, self.pod.cinder_url + path, body, version and f'volume {version}', headers)

    def glance(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request to Glance; a body of bytes is the content of an image."""
        if isinstance(body, bytes):
            headers.setdefault('Content_Type', 'application/octet-stream')
        return self._send(method, f'{self.cloud.glance.url}/v2/images{path}', body, None, headers)

    def neutron(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return self._send(method, f'{self.cloud.neutron.url}/v2.0{path}', body, None, headers)

    def follow(self, url: str, version: str | None = None) -> Answer:
        return self._send('GET', url, None, version, {})

    def _send(self, method: str, url: str, body: Any, version: str | None, headers: dict[str, str]) -> Answer:
        sent = {'X-Auth-Token': self.token, 'Content-Type': 'application/json'}
        if version:
            sent['OpenStack-API-Version'] = version
        sent |= {name.replace('_', '-'): value for name, value in headers.items()}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        status, fields, payload = self.transport.request(method, url, sent, data, self.timeout)
        found: dict[str, list[str]] = {}
        for name, value in fields:
            found.setdefault(name.lower(), []).append(value)
        return Answer(status, found, payload)
