# SPDX-License-Identifier: Apache-2.0
"""Serve emulated pods and their Keystone, or a part of the pods of a cloud whose Keystone another process serves.

They cache their answers to GET requests: a pod that builds a list of 500 servers for each request would limit the rate
and use the processor that the gateway needs.

The process prints its URLs, tokens and servers as one line of JSON, and serves until its standard input ends. A line
there, ``refuse``, ``hang`` or ``slow`` and the name of a pod, lets the pod do so; ``pod`` with a name and the URLs of
Nova, Cinder and Placement adds a pod of another process to the catalog. A line ``done`` is the answer. Any process
knows the tokens of all others, as they are signed with the same key.
"""

from __future__ import annotations

import argparse
import datetime
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
#: Project with the servers that every pod has in addition. They are older than all others, so that no page of a list
#: has them.
EACH = 'each'
#: Project -> number of pods that it has servers in; ``ten`` has none if there are fewer pods.
PODS = {'small': 2, 'large': 2, 'alt': 0, 'ten': 10}

DOWN = {'refuse': faults.Refuse(), 'hang': faults.Hang(), 'slow': faults.Slow(0.3)}


def build(names: list[str], total: int, each: int, delay_ms: float) -> Cloud:
    """:param names: names of the pods of this process
    :param total: number of pods of all processes
    :param each: number of additional servers in each pod
    """
    cloud = Cloud(pods=names, log_size=0)
    for project, count in SERVERS.items():
        cloud.keystone.add_user(project, roles={project: ('member',)})
        for pod in pod_names(1, PODS[project] if PODS[project] <= total else 0):
            if pod in cloud.pods:
                cloud.add_servers(pod, project, count, name=f'{pod.lower()}-{project}')
    cloud.keystone.add_user(EACH, roles={EACH: ('member',)})
    for pod in names:
        cloud.add_servers(pod, EACH, each, start=cloud.pod(pod).nova.stamp() - datetime.timedelta(days=1))
    if delay_ms:
        for pod in cloud.pods.values():
            pod.nova.faults.add(faults.Slow(delay_ms / 1000, path='/servers'))
            pod.cinder.faults.add(faults.Slow(delay_ms / 1000, path='/volumes'))
    return cloud


def pod_names(first: int, count: int) -> list[str]:
    return [f'Pod{number}' for number in range(first, first + count)]


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
    projects = (*SERVERS, EACH)
    owners = {cloud.project_id(project): project for project in projects}
    servers: dict[str, list[list[str]]] = {project: [] for project in projects}
    for name, pod in cloud.pods.items():
        for server in pod.nova.servers.values():
            servers[owners[server['project_id']]].append([server['id'], name])
    return {
        'keystone': cloud.keystone.url,
        'pods': {name: pod.nova_url for name, pod in cloud.pods.items()},
        'volume_urls': {name: pod.cinder_url for name, pod in cloud.pods.items()},
        'placement_urls': {name: pod.placement_url for name, pod in cloud.pods.items()},
        'tokens': {user: cloud.token(user, expires_in=TOKEN_SECONDS) for user in (*projects, 'admin')},
        'projects': {project: cloud.project_id(project) for project in projects},
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
    parser.add_argument('--pods', type=int, default=2, help='number of pods of this process')
    parser.add_argument('--first', type=int, default=1, help='number of the first of them')
    parser.add_argument('--total', type=int, default=0, help='number of pods of all processes (--pods)')
    parser.add_argument('--each', type=int, default=0, help='number of additional servers in each pod')
    parser.add_argument('--delay-ms', type=float, default=0.0)
    chosen = parser.parse_args()
    # Each pod has three ports, and connections to each.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = pod_names(chosen.first, chosen.pods)
    cloud = build(names, chosen.total or chosen.pods, chosen.each, chosen.delay_ms)
    for pod in cloud.pods.values():
        cache_answers(pod.nova)
    with CloudServer(cloud):
        print(json.dumps(describe(cloud)), flush=True)
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(0.1)
        for line in sys.stdin:
            how, name, *urls = line.split()
            if how == 'pod':
                cloud.add_pod_endpoints(name, *urls)
            else:
                for service in cloud.pod(name).each():
                    service.faults.add(DOWN[how])
            print('done', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
