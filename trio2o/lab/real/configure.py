# SPDX-License-Identifier: Apache-2.0
"""Write a lab's directories, keys and configuration files.

Running it again changes nothing: the files depend only on the topology, and existing keys are kept.
"""

from __future__ import annotations

import base64
import os
import pathlib

import trio2o
from trio2o.lab.real.settings import Sections, paste_file, sections
from trio2o.lab.real.topology import Service, Topology


def render(config: Sections) -> str:
    """Return sections and options as an oslo.config file."""
    blocks = [
        '\n'.join([f'[{section}]', *(f'{name} = {value}' for name, value in options.items())])
        for section, options in config.items()
    ]
    return '\n\n'.join(blocks) + '\n'


def write_private(path: pathlib.Path, text: str) -> None:
    """Write a file that only its owner can read: nearly all of them hold a password."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as out:
        out.write(text)


def write_keys(repository: pathlib.Path) -> None:
    """Create a Fernet key repository as ``keystone-manage fernet_setup`` does, without starting that program."""
    for number in range(2):
        key = repository / str(number)
        if not key.exists():
            write_private(key, base64.urlsafe_b64encode(os.urandom(32)).decode())
    repository.chmod(0o700)


def configure(topology: Topology) -> None:
    """Write the files that the services read, and create the folders that they write to."""
    for folder in ('db', 'log', 'run', 'etc', 'data', 'path'):
        (topology.state_dir / folder).mkdir(parents=True, exist_ok=True)
    expose_package(topology)
    for service in topology.services:
        write_private(topology.config_file(service), render(sections(topology, service)))
        for folder in state_folders(service):
            (topology.state_path(service) / folder).mkdir(parents=True, exist_ok=True)
        if service.kind == 'nova':
            paste = topology.config_dir(service) / 'api-paste.ini'
            paste.write_text(pathlib.Path(paste_file(service, 'api-paste.ini')).read_text())
    keystone = topology.state_path(topology.service('keystone'))
    write_keys(keystone / 'fernet-keys')
    write_keys(keystone / 'credential-keys')


def state_folders(service: Service) -> tuple[str, ...]:
    return {
        'glance': ('images', 'staging', 'tasks', 'locks'),
        'nova': ('instances', 'locks'),
        'cinder': ('coordination', 'locks'),
    }.get(service.kind, ('locks',))


def expose_package(topology: Topology) -> None:
    """Link this package into a folder for PYTHONPATH.

    So the interpreter of any pod can import the launchers without having Trio2o installed. The entry
    point names Neutron's driver, which Neutron loads only by plug-in name.
    """
    link = topology.state_dir / 'path' / 'trio2o'
    target = pathlib.Path(trio2o.__file__).resolve().parent
    if link.is_symlink() and link.resolve() != target:
        link.unlink()
    if not link.is_symlink():
        link.symlink_to(target)
    entry_points = topology.state_dir / 'path' / 'trio2o_lab-1.dist-info' / 'entry_points.txt'
    entry_points.parent.mkdir(exist_ok=True)
    entry_points.with_name('METADATA').write_text('Metadata-Version: 2.1\nName: trio2o-lab\nVersion: 1\n')
    entry_points.write_text(
        '[neutron.ml2.mechanism_drivers]\nlab = trio2o.lab.real.neutron_mechanism:LabMechanismDriver\n'
    )


def environment(topology: Topology, service: Service) -> dict[str, str]:
    """Return the environment a service's process starts with."""
    folder = str(topology.config_dir(service))
    config = str(topology.config_file(service))
    kept = {name: value for name, value in os.environ.items() if not name.startswith('OS_')}
    return {
        **kept,
        'PYTHONPATH': str(topology.state_dir / 'path'),
        'PYTHONUNBUFFERED': '1',
        'NO_PROXY': '127.0.0.1,localhost',
        'no_proxy': '127.0.0.1,localhost',
        'OS_KEYSTONE_CONFIG_FILES': config,
        'OS_PLACEMENT_CONFIG_DIR': folder,
        'OS_GLANCE_CONFIG_DIR': folder,
        'OS_NEUTRON_CONFIG_FILES': config,
        'OS_NOVA_CONFIG_DIR': folder,
        'OS_NOVA_CONFIG_FILES': 'api-paste.ini;nova.conf',
        'OS_NOVA_DISABLE_EVENTLET_PATCHING': 'true',
        'LAB_SERVICE': service.name,
        'LAB_PORT': str(service.port),
        'LAB_CONFIG_FILE': config,
    }
