# SPDX-License-Identifier: Apache-2.0
"""Client of the Admin API: pods, bindings, routings, jobs, replicas, moves, usages."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from tempest.lib.common import rest_client

Json = dict[str, Any]


class AdminClient(rest_client.RestClient):
    """One method a call; each gives the parsed body, with the response beside it.

    client.list_pods(az_name='az1')['pods']
    """

    def _send(self, method: str, path: str, body: Json | None = None, **query: Any) -> rest_client.ResponseBody:
        url = f'{path}?{urlencode(query)}' if query else path
        text = None if body is None else json.dumps(body)
        response, content = self.request(method, url, body=text)
        self.expected_success([200, 202], response.status)
        return rest_client.ResponseBody(response, json.loads(content) if content else {})

    def list_pods(self, **query: Any) -> rest_client.ResponseBody:
        return self._send('GET', 'pods', **query)

    def show_pod(self, pod_id: str) -> rest_client.ResponseBody:
        return self._send('GET', f'pods/{pod_id}')

    def create_pod(self, **pod: Any) -> rest_client.ResponseBody:
        return self._send('POST', 'pods', {'pod': pod})

    def update_pod(self, pod_id: str, **changes: Any) -> rest_client.ResponseBody:
        return self._send('PATCH', f'pods/{pod_id}', {'pod': changes})

    def delete_pod(self, pod_id: str, **query: Any) -> rest_client.ResponseBody:
        return self._send('DELETE', f'pods/{pod_id}', **query)

    def list_bindings(self, **query: Any) -> rest_client.ResponseBody:
        return self._send('GET', 'bindings', **query)

    def show_binding(self, binding_id: str, **query: Any) -> rest_client.ResponseBody:
        return self._send('GET', f'bindings/{binding_id}', **query)

    def create_binding(self, **binding: Any) -> rest_client.ResponseBody:
        return self._send('POST', 'bindings', {'pod_binding': binding})

    def delete_binding(self, binding_id: str) -> rest_client.ResponseBody:
        return self._send('DELETE', f'bindings/{binding_id}')

    def list_routings(self, **query: Any) -> rest_client.ResponseBody:
        return self._send('GET', 'routings', **query)

    def show_routing(self, routing_id: str, **query: Any) -> rest_client.ResponseBody:
        return self._send('GET', f'routings/{routing_id}', **query)

    def list_jobs(self, **query: Any) -> rest_client.ResponseBody:
        return self._send('GET', 'jobs', **query)

    def show_job(self, job_id: str) -> rest_client.ResponseBody:
        return self._send('GET', f'jobs/{job_id}')

    def redo_job(self, job_id: str) -> rest_client.ResponseBody:
        return self._send('POST', f'jobs/{job_id}/redo')

    def cancel_job(self, job_id: str) -> rest_client.ResponseBody:
        return self._send('POST', f'jobs/{job_id}/cancel')

    def list_replicas(self, **query: Any) -> rest_client.ResponseBody:
        return self._send('GET', 'replicas', **query)

    def create_move(self, **move: Any) -> rest_client.ResponseBody:
        return self._send('POST', 'moves', {'move': move})

    def show_move(self, move_id: str) -> rest_client.ResponseBody:
        return self._send('GET', f'moves/{move_id}')

    def list_usages(self, **query: Any) -> rest_client.ResponseBody:
        return self._send('GET', 'usages', **query)
