# SPDX-License-Identifier: Apache-2.0
"""Serve emulated pods and their Keystone in one process.

They cache their answers to GET requests: a pod that builds a list of 500 servers for each request would limit the rate
and use the processor that the gateway needs.

The process prints its URLs, tokens and servers as one line of JSON, and serves until its standard input ends. A line
there, ``refuse``, ``hang`` or ``slow`` and the name of a pod, lets the pod do so; a line ``done`` is the answer.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
from typing import Any

from trio2o.lab.emulated import faults, wire
from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.service import Service
from trio2o.lab.emulated.topology import Cloud

TOKEN_SECONDS = 24 * 3600

#: Project -> servers in each pod. Creates use ``alt``, whose servers are never listed.
SERVERS = {'small': 10, 'large': 500, 'alt': 0, 'ten': 10}
#: Project -> number of pods that it has servers in; ``ten`` has none if there are fewer pods.
PODS = {'small': 2, 'large': 2, 'alt': 0, 'ten': 10}

DOWN = {'refuse': faults.Refuse(), 'hang': faults.Hang(), 'slow': faults.Slow(0.3)}


def build(pods: int, delay_ms: float) -> Cloud:
    cloud = Cloud(pods=pods, log_size=0)
    for project, count in SERVERS.items():
        cloud.keystone.add_user(project, roles={project: ('member',)})
        for pod in list(cloud.pods)[: PODS[project] if PODS[project] <= pods else 0]:
            cloud.add_servers(pod, project, count, name=f'{pod.lower()}-{project}')
    if delay_ms:
        for pod in cloud.pods.values():
            pod.nova.faults.add(faults.Slow(delay_ms / 1000, path='/servers'))
            pod.cinder.faults.add(faults.Slow(delay_ms / 1000, path='/volumes'))
    return cloud


def cache_answers(service: Service) -> None:
    """Let a service answer the same GET of the same caller with the same bytes, even after writes."""
    answer = service.answer
    known: dict[tuple[str | None, ...], wire.Response] = {}

    def cached(request: wire.Request) -> wire.Response:
        if request.method != 'GET':
            return answer(request)
        headers = request.headers.get
        key = (request.path, request.query, request.base, headers('x-auth-token'), headers('openstack-api-version'))
        response = known.get(key)
        if response is None:
            response = known[key] = answer(request)
        return response

    service.answer = cached  # type: ignore[method-assign]


def describe(cloud: Cloud) -> dict[str, Any]:
    owners = {cloud.project_id(project): project for project in SERVERS}
    servers: dict[str, list[list[str]]] = {project: [] for project in SERVERS}
    for name, pod in cloud.pods.items():
        for server in pod.nova.servers.values():
            servers[owners[server['project_id']]].append([server['id'], name])
    return {
        'keystone': cloud.keystone.url,
        'pods': {name: pod.nova_url for name, pod in cloud.pods.items()},
        'volume_urls': {name: pod.cinder_url for name, pod in cloud.pods.items()},
        'tokens': {user: cloud.token(user, expires_in=TOKEN_SECONDS) for user in (*SERVERS, 'admin')},
        'projects': {project: cloud.project_id(project) for project in SERVERS},
        'servers': servers,
        'created': {
            server['id']: server['created_at'].isoformat()
            for pod in cloud.pods.values()
            for server in pod.nova.servers.values()
        },
        'image': cloud.image['id'],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pods', type=int, default=2)
    parser.add_argument('--delay-ms', type=float, default=0.0)
    chosen = parser.parse_args()
    # Each pod has three ports, and connections to each.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cloud = build(chosen.pods, chosen.delay_ms)
    for pod in cloud.pods.values():
        cache_answers(pod.nova)
    with CloudServer(cloud):
        print(json.dumps(describe(cloud)), flush=True)
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(0.1)
        for line in sys.stdin:
            how, name = line.split()
            for service in cloud.pod(name).each():
                service.faults.add(DOWN[how])
            print('done', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
