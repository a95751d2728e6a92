# SPDX-License-Identifier: Apache-2.0
"""The content of each service's configuration file, computed from the topology. ``configure`` writes the files."""

from __future__ import annotations

import pathlib

from trio2o.lab.real.topology import HOST, TOP_REGION, Service, Topology

Options = dict[str, str | int | bool]
Sections = dict[str, Options]


def sections(topology: Topology, service: Service) -> Sections:
    """Return the configuration of a service."""
    return {
        'keystone': keystone,
        'glance': glance,
        'neutron': neutron,
        'placement': placement,
        'cinder': cinder,
        'nova': nova,
    }[service.kind](topology, service)


def paste_file(service: Service, name: str) -> str:
    """Locate a paste file that the package installed next to its interpreter."""
    return str(pathlib.Path(service.python).parent.parent / 'etc' / service.kind / name)


def database(topology: Topology, service: Service, suffix: str = '') -> Options:
    url = topology.database_url(service, service.name + suffix)
    if service.is_sqlite:
        return {'connection': url, 'sqlite_synchronous': False}
    return {'connection': url, 'max_pool_size': 10, 'max_overflow': 20}


def account(topology: Topology, user: str, **options: str | int | bool) -> Options:
    """Return the keystoneauth options of a service user."""
    return {
        'auth_type': 'password',
        'auth_url': topology.auth_url,
        'username': user,
        'password': topology.password,
        'project_name': 'service',
        'user_domain_name': 'Default',
        'project_domain_name': 'Default',
        **options,
    }


def token_check(topology: Topology, user: str) -> Options:
    return account(
        topology,
        user,
        www_authenticate_uri=topology.auth_url,
        service_token_roles='service',
        service_token_roles_required=True,
        token_cache_time=300,
    )


def base(topology: Topology, service: Service) -> Options:
    return {
        'state_path': str(topology.state_path(service)),
        'lock_path': str(topology.state_path(service) / 'locks'),
        'transport_url': 'fake://',
        'debug': False,
        'use_stderr': True,
        'default_log_levels': 'sqlalchemy=WARNING,oslo_policy=ERROR,keystonemiddleware=WARNING,'
        'urllib3=WARNING,stevedore=WARNING,cheroot=WARNING,amqp=WARNING,oslo_messaging=INFO',
    }


def keystone(topology: Topology, service: Service) -> Sections:
    state = topology.state_path(service)
    return {
        'DEFAULT': {**base(topology, service), 'public_endpoint': service.url},
        'database': database(topology, service),
        'token': {'provider': 'fernet', 'expiration': 86400},
        'fernet_tokens': {'key_repository': str(state / 'fernet-keys')},
        'fernet_receipts': {'key_repository': str(state / 'fernet-keys')},
        'credential': {'key_repository': str(state / 'credential-keys')},
        'identity': {'password_hash_rounds': 4},
        'cache': {'enabled': True, 'backend': 'dogpile.cache.memory'},
    }


def glance(topology: Topology, service: Service) -> Sections:
    state = topology.state_path(service)
    return {
        'DEFAULT': {
            **base(topology, service),
            'bind_host': HOST,
            'bind_port': service.port,
            'enabled_backends': 'store:file',
            'worker_self_reference_url': service.url,
        },
        'database': database(topology, service),
        'glance_store': {'default_backend': 'store'},
        'store': {'filesystem_store_datadir': str(state / 'images')},
        'os_glance_staging_store': {'filesystem_store_datadir': str(state / 'staging')},
        'os_glance_tasks_store': {'filesystem_store_datadir': str(state / 'tasks')},
        'paste_deploy': {
            'flavor': 'keystone',
            'config_file': paste_file(service, 'glance-api-paste.ini'),
        },
        'keystone_authtoken': token_check(topology, 'glance'),
        'oslo_concurrency': {'lock_path': str(state / 'locks')},
    }


def neutron(topology: Topology, service: Service) -> Sections:
    state = topology.state_path(service)
    return {
        'DEFAULT': {
            **base(topology, service),
            'core_plugin': 'ml2',
            'service_plugins': 'router',
            'api_paste_config': paste_file(service, 'api-paste.ini'),
            'auth_strategy': 'keystone',
            'notify_nova_on_port_status_changes': True,
            'notify_nova_on_port_data_changes': True,
            'dhcp_agent_notification': False,
        },
        'database': database(topology, service),
        'ml2': {
            'type_drivers': 'local',
            'tenant_network_types': 'local',
            'mechanism_drivers': 'lab',
            'extension_drivers': 'port_security',
        },
        'quotas': {'quota_network': 1000, 'quota_subnet': 1000, 'quota_port': 10000},
        'nova': account(topology, 'nova', region_name=TOP_REGION),
        'keystone_authtoken': token_check(topology, 'neutron'),
        'oslo_concurrency': {'lock_path': str(state / 'locks')},
        'experimental': {},
    }


def placement(topology: Topology, service: Service) -> Sections:
    return {
        'DEFAULT': {'state_path': str(topology.state_path(service)), 'debug': False},
        'placement_database': database(topology, service),
        'keystone_authtoken': token_check(topology, 'placement'),
        'api': {'auth_strategy': 'keystone'},
    }


def cinder(topology: Topology, service: Service) -> Sections:
    state = topology.state_path(service)
    pod = str(service.pod)
    return {
        'DEFAULT': {
            **base(topology, service),
            'host': f'{pod.lower()}-storage',
            'my_ip': HOST,
            'osapi_volume_listen': HOST,
            'osapi_volume_listen_port': service.port,
            'api_paste_config': paste_file(service, 'api-paste.ini'),
            'resource_query_filters_file': paste_file(service, 'resource_filters.json'),
            'auth_strategy': 'keystone',
            'storage_availability_zone': 'nova',
            'default_volume_type': '__DEFAULT__',
            'enabled_backends': 'fake',
            'glance_api_servers': topology.service('glance').url,
            'allowed_direct_url_schemes': '',
            'enable_force_upload': True,
            'backup_driver': 'cinder.backup.drivers.posix.PosixBackupDriver',
            # All pods have the same store, so that a record of one can be imported into another.
            'backup_posix_path': str(topology.backups),
            # The driver reads into a buffer of this size.
            'backup_file_size': 1 << 20,
            'backup_use_same_host': True,
            'report_interval': 10,
            'service_down_time': 60,
            'scheduler_driver_init_wait_time': 1,
            'periodic_interval': 30,
            'periodic_fuzzy_delay': 5,
            'rootwrap_config': paste_file(service, 'rootwrap.conf'),
        },
        'fake': {
            'volume_driver': 'trio2o.lab.real.cinder_drivers.LabVolumeDriver',
            'volume_backend_name': 'fake',
        },
        'database': database(topology, service),
        'coordination': {'backend_url': f'file://{state / "coordination"}'},
        'keystone_authtoken': token_check(topology, 'cinder'),
        'nova': account(topology, 'nova', region_name=pod, interface='public'),
        'service_user': account(topology, 'cinder', send_service_user_token=True),
        'oslo_concurrency': {'lock_path': str(state / 'locks')},
    }


def nova(topology: Topology, service: Service) -> Sections:
    state = topology.state_path(service)
    pod = str(service.pod)
    return {
        'DEFAULT': {
            **base(topology, service),
            'host': f'{pod.lower()}-compute',
            'my_ip': HOST,
            'compute_driver': 'lab.LabDriver',
            'default_availability_zone': 'nova',
            'internal_service_availability_zone': 'internal',
            'allow_resize_to_same_host': True,
            'vif_plugging_is_fatal': False,
            'vif_plugging_timeout': 0,
            'instances_path': str(state / 'instances'),
            'report_interval': 10,
            'service_down_time': 60,
            'update_resources_interval': 60,
            'periodic_fuzzy_delay': 5,
            'resume_guests_state_on_host_boot': False,
            'graceful_shutdown_timeout': 5,
            'manager_shutdown_timeout': 1,
        },
        'api_database': database(topology, service, '_api'),
        'database': database(topology, service),
        'api': {'auth_strategy': 'keystone', 'response_validation': 'ignore'},
        'wsgi': {'api_paste_config': paste_file(service, 'api-paste.ini')},
        'keystone_authtoken': token_check(topology, 'nova'),
        'service_user': account(topology, 'nova', send_service_user_token=True),
        'placement': account(topology, 'placement', region_name=pod),
        'neutron': account(topology, 'neutron', region_name=TOP_REGION),
        'cinder': account(topology, 'cinder', os_region_name=pod),
        'glance': {'api_servers': topology.service('glance').url},
        'scheduler': {'discover_hosts_in_cells_interval': 300},
        'conductor': {'workers': 1},
        'compute': {'consecutive_build_service_disable_threshold': 0},
        'vnc': {'enabled': True},
        'key_manager': {},
        'oslo_concurrency': {'lock_path': str(state / 'locks')},
        'cache': {'enabled': False},
    }
