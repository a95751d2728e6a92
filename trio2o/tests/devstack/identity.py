#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Create in Keystone what DevStack's functions in lib/keystone create, without starting a client for each step.

identity.py user NAME ROLE...              a service's account, with the password and project of all of them
identity.py service NAME TYPE TEXT         a service
identity.py endpoints REGION TYPE=URL...   the public endpoint of each; what a region has already is left alone
"""

import os
import sys

from trio2o.lab.real.rest import Client


def main():
    what, *words = sys.argv[1:]
    base, password = os.environ['SUBSTITUTE_KEYSTONE'], os.environ['SUBSTITUTE_PASSWORD']
    {'user': user, 'service': service, 'endpoints': endpoints}[what](
        Client(base, 'admin', password, 'admin'), base, *words
    )


def user(client, base, name, *roles):
    wanted = {'name': name, 'domain_id': 'default', 'password': os.environ['SUBSTITUTE_PASSWORD']}
    user_id = client.ensure(f'{base}/users', 'user', wanted)['id']
    project_id = next(p['id'] for p in client.call('GET', f'{base}/projects')['projects'] if p['name'] == 'service')
    known = {role['name']: role['id'] for role in client.call('GET', f'{base}/roles')['roles']}
    for role in roles:
        client.call('PUT', f'{base}/projects/{project_id}/users/{user_id}/roles/{known[role]}')


def service(client, base, name, type_, text):
    wanted = {'name': name, 'type': type_, 'description': text}
    print(client.ensure(f'{base}/services', 'service', wanted, match=('type',))['id'])


def endpoints(client, base, region, *pairs):
    client.ensure(f'{base}/regions', 'region', {'id': region}, match=('id',))
    types = {found['type']: found['id'] for found in client.call('GET', f'{base}/services')['services']}
    for pair in pairs:
        type_, _, url = pair.partition('=')
        wanted = {'service_id': types[type_], 'region_id': region, 'interface': 'public', 'url': url}
        client.ensure(f'{base}/endpoints', 'endpoint', wanted, match=('service_id', 'region_id', 'interface'))


if __name__ == '__main__':
    main()
