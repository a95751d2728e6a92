# SPDX-License-Identifier: Apache-2.0
"""Create the first objects of a cloud: accounts, the catalog, an image, a network.

Every step creates only what does not exist, so seeding can be repeated.
"""

from __future__ import annotations

from trio2o.lab.real import processes
from trio2o.lab.real.errors import SeedFailed
from trio2o.lab.real.rest import Client
from trio2o.lab.real.topology import SERVICE_USERS, TOP_REGION, Topology

FLAVORS = (('1', 'm1.tiny', 512, 1, 1), ('2', 'm1.small', 2048, 20, 1))
#: Not zeros, because Cinder restores those as a hole.
IMAGE_BYTES = b'a tiny image ' * 600


def bootstrap(topology: Topology) -> None:
    """Create Keystone's first user, before Keystone runs."""
    service = topology.service('keystone')
    log = topology.log_file(service)
    words = (str(topology.config_file(service)), TOP_REGION, topology.auth_url)
    module = 'trio2o.lab.real.bootstrap'
    if not processes.run(topology, service, module, *words, log=log, OS_BOOTSTRAP_PASSWORD=topology.password):
        raise SeedFailed(f"Keystone's bootstrap failed: see {log}")


def admin_client(topology: Topology) -> Client:
    return Client(topology.auth_url, 'admin', topology.password, 'admin')


def seed_keystone(topology: Topology) -> None:
    """Create accounts, regions and the catalog."""
    client = admin_client(topology)
    seed_accounts(client, topology)
    seed_catalog(client, topology)


def seed_accounts(client: Client, topology: Topology) -> None:
    base = topology.auth_url
    roles = {
        name: client.ensure(f'{base}/roles', 'role', {'name': name})['id']
        for name in ('admin', 'member', 'reader', 'service')
    }

    def project(name: str) -> str:
        wanted = {'name': name, 'domain_id': 'default'}
        return str(client.ensure(f'{base}/projects', 'project', wanted)['id'])

    def grant(user: str, project_id: str, *names: str) -> None:
        wanted = {'name': user, 'domain_id': 'default', 'password': topology.password}
        user_id = client.ensure(f'{base}/users', 'user', wanted)['id']
        for name in names:
            client.call('PUT', f'{base}/projects/{project_id}/users/{user_id}/roles/{roles[name]}')

    service_project = project('service')
    for user in SERVICE_USERS:
        grant(user, service_project, 'admin', 'service')
    grant('demo', project('demo'), 'member')
    # What a move creates belongs to the project of the resource, so Trio2o's user has a role in all projects.
    trio2o = client.ensure(f'{base}/users', 'user', {'name': 'trio2o', 'domain_id': 'default'})['id']
    inherited = f'{base}/OS-INHERIT/domains/default/users/{trio2o}/roles/{roles["admin"]}/inherited_to_projects'
    client.call('PUT', inherited)


def catalog(topology: Topology) -> list[tuple[str, str, str, str]]:
    """Return the catalog's rows: service name, type, region, URL."""
    gateway = topology.gateway
    shared = {
        'keystone': ('identity', topology.auth_url),
        'glance': ('image', topology.service('glance').url),
        'neutron': ('network', topology.service('neutron').url),
    }
    rows = [
        ('nova', 'compute', TOP_REGION, gateway.compute_url),
        ('cinderv3', 'volumev3', TOP_REGION, gateway.volume_url),
        ('cinder', 'block-storage', TOP_REGION, gateway.volume_url),
        ('trio2o', 'trio2o', TOP_REGION, gateway.admin_url),
    ]
    for pod in topology.pods:
        volume_url = topology.service(f'{pod.name}.cinder').url + '/v3'
        rows += [
            ('nova', 'compute', pod.name, topology.service(f'{pod.name}.nova').url + '/v2.1'),
            ('placement', 'placement', pod.name, topology.service(f'{pod.name}.placement').url),
            ('cinderv3', 'volumev3', pod.name, volume_url),
            ('cinder', 'block-storage', pod.name, volume_url),
        ]
    for region in (TOP_REGION, *(pod.name for pod in topology.pods)):
        rows += [(name, kind, region, url) for name, (kind, url) in shared.items()]
    return rows


def seed_catalog(client: Client, topology: Topology) -> None:
    base = topology.auth_url
    for region in (TOP_REGION, *(pod.name for pod in topology.pods)):
        client.ensure(f'{base}/regions', 'region', {'id': region}, match=('id',))
    rows = catalog(topology)
    kinds = {kind: name for name, kind, _, _ in rows}
    services = {
        kind: client.ensure(f'{base}/services', 'service', {'name': name, 'type': kind}, match=('type',))['id']
        for kind, name in kinds.items()
    }
    known = {
        (endpoint['service_id'], endpoint['region_id'], endpoint['interface']): endpoint
        for endpoint in client.call('GET', f'{base}/endpoints')['endpoints']
    }
    for _, kind, region, url in rows:
        for interface in ('public', 'internal', 'admin'):
            wanted = {
                'service_id': services[kind],
                'region_id': region,
                'interface': interface,
                'url': url,
            }
            found = known.get((services[kind], region, interface))
            if found is None:
                client.call('POST', f'{base}/endpoints', {'endpoint': wanted})
            elif found['url'] != url:
                client.call('PATCH', f'{base}/endpoints/{found["id"]}', {'endpoint': {'url': url}})


def forget_regions(topology: Topology, regions: list[str]) -> None:
    """Delete regions and their endpoints."""
    client, base = admin_client(topology), topology.auth_url
    for endpoint in client.call('GET', f'{base}/endpoints')['endpoints']:
        if endpoint['region_id'] in regions:
            client.call('DELETE', f'{base}/endpoints/{endpoint["id"]}')
    known = {region['id'] for region in client.call('GET', f'{base}/regions')['regions']}
    for region in regions:
        if region in known:
            client.call('DELETE', f'{base}/regions/{region}')


def seed_image(topology: Topology) -> None:
    """Upload a tiny image. Nothing boots it, so it has no operating system."""
    client = admin_client(topology)
    base = topology.service('glance').url + '/v2/images'
    if client.call('GET', f'{base}?name=cirros')['images']:
        return
    image = client.call(
        'POST',
        base,
        {
            'name': 'cirros',
            'disk_format': 'raw',
            'container_format': 'bare',
            'visibility': 'public',
        },
    )
    client.call('PUT', f'{base}/{image["id"]}/file', IMAGE_BYTES)


def seed_network(topology: Topology) -> None:
    """Create a network that every project may use."""
    client = admin_client(topology)
    base = topology.service('neutron').url + '/v2.0'
    network = client.ensure(f'{base}/networks', 'network', {'name': 'private', 'shared': True})
    subnet = {
        'name': 'private-subnet',
        'network_id': network['id'],
        'ip_version': 4,
        'cidr': '10.0.0.0/16',
    }
    client.ensure(f'{base}/subnets', 'subnet', subnet)


def seed_pod(topology: Topology, pod: str) -> None:
    """Create flavors in a pod, as in a cloud that was in use before it became a pod."""
    client = admin_client(topology)
    base = topology.service(f'{pod}.nova').url + '/v2.1/flavors'
    for flavor_id, name, ram, disk, vcpus in FLAVORS:
        wanted = {'id': flavor_id, 'name': name, 'ram': ram, 'disk': disk, 'vcpus': vcpus}
        client.ensure(base, 'flavor', wanted)
