# SPDX-License-Identifier: Apache-2.0
"""Nova's quota sets and limits, and the quota checks. By default instances, cores and RAM are not limited."""

import re
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

DEFAULTS = {
    'instances': -1,
    'cores': -1,
    'ram': -1,
    'metadata_items': 128,
    'key_pairs': 100,
    'server_groups': 10,
    'server_group_members': 10,
    'injected_files': 5,
    'injected_file_content_bytes': 10240,
    'injected_file_path_bytes': 255,
    'floating_ips': -1,
    'fixed_ips': -1,
    'security_groups': -1,
    'security_group_rules': -1,
}
_NETWORK = {'floating_ips', 'fixed_ips', 'security_groups', 'security_group_rules'}
_FILES = {'injected_files', 'injected_file_content_bytes', 'injected_file_path_bytes'}


def limits(nova: 'Nova', project_id: str, user_id: str | None = None) -> dict[str, int]:
    """Return the limits of a project in this pod, or of a user in the project."""
    own = nova.user_quotas.get((project_id, user_id), {}) if user_id else {}
    return {**DEFAULTS, **nova.quota_classes['default'], **nova.quota_sets.get(project_id, {}), **own}


def usage(nova: 'Nova', project_id: str) -> dict[str, int]:
    """Count the resources of a project in this pod."""
    live = [server for server in nova.servers.values() if server['project_id'] == project_id and not server['deleted']]
    return {
        'instances': len(live),
        'cores': sum(row['flavor']['vcpus'] for row in live),
        'ram': sum(row['flavor']['ram'] for row in live),
        'server_groups': sum(group['project_id'] == project_id for group in nova.groups.values()),
    }


def check_servers(nova: 'Nova', request: wire.Request, flavor: dict[str, Any], least: int, most: int) -> None:
    """Refuse servers that exceed a limit with Nova's 403."""
    allowed = limits(nova, request.user.project_id, request.user.user_id)
    if max(allowed['instances'], allowed['cores'], allowed['ram']) < 0:
        return
    used = usage(nova, request.user.project_id)
    wanted = {'instances': most, 'cores': most * flavor['vcpus'], 'ram': most * flavor['ram']}
    over = [
        name
        for name in ('cores', 'instances', 'ram')
        if allowed[name] >= 0 and used[name] + wanted[name] > allowed[name]
    ]
    if over:
        raise Refusal(
            403,
            'Quota exceeded for {}: Requested {}, but already used {} of {} {}'.format(
                ', '.join(over),
                ', '.join(str(wanted[name]) for name in over),
                ', '.join(str(used[name]) for name in over),
                ', '.join(str(allowed[name]) for name in over),
                ', '.join(over),
            ),
        )


def check_keypairs(nova: 'Nova', request: wire.Request, user_id: str) -> None:
    """Refuse one more key pair of a user with 403; as in Nova, the limit is the caller's and not the user's."""
    allowed = limits(nova, request.user.project_id, request.user.user_id)['key_pairs']
    if 0 <= allowed <= sum(owner == user_id for owner, _name in nova.keypairs):
        raise Refusal(403, 'Quota exceeded, too many key pairs.')


def check_metadata(nova: 'Nova', request: wire.Request, metadata: dict[str, Any]) -> None:
    """Refuse more metadata items than allowed with 403."""
    allowed = limits(nova, request.user.project_id, request.user.user_id)['metadata_items']
    if 0 <= allowed < len(metadata):
        raise Refusal(403, f'Maximum number of metadata items exceeds {allowed}')


def check_files(nova: 'Nova', request: wire.Request, files: list[dict[str, Any]]) -> None:
    """Refuse more or larger injected files than allowed with 403."""
    allowed = limits(nova, request.user.project_id, request.user.user_id)
    if 0 <= allowed['injected_files'] < len(files):
        raise Refusal(403, 'Personality file limit exceeded')
    for name, key, what in (
        ('injected_file_path_bytes', 'path', 'path'),
        ('injected_file_content_bytes', 'contents', 'content'),
    ):
        if any(0 <= allowed[name] < len(file[key]) for file in files):
            raise Refusal(403, f'Personality file {what} exceeds maximum {allowed[name]}')


def _shown(request: wire.Request) -> list[str]:
    hidden = (_NETWORK if request.minor >= 36 else set()) | (_FILES if request.minor >= 57 else set())
    return [name for name in DEFAULTS if name not in hidden]


def _may_see(nova: 'Nova', request: wire.Request, rule: str) -> str:
    project = request.args['project_id']
    if project != request.user.project_id:
        nova.admin_only(request, f'os_compute_api:os-quota-sets:{rule}')
    return project


def show(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-quota-sets/{project}."""
    project = _may_see(nova, request, 'show')
    values = limits(nova, project, request.last('user_id'))
    return wire.reply({'quota_set': {'id': project, **{name: values[name] for name in _shown(request)}}})


def detail(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-quota-sets/{project}/detail."""
    project = _may_see(nova, request, 'detail')
    values, used = limits(nova, project, request.last('user_id')), usage(nova, project)
    return wire.reply(
        {
            'quota_set': {
                'id': project,
                **{
                    name: {'limit': values[name], 'in_use': used.get(name, 0), 'reserved': 0}
                    for name in _shown(request)
                },
            }
        }
    )


def defaults(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-quota-sets/{project}/defaults."""
    values = {**DEFAULTS, **nova.quota_classes['default']}
    return wire.reply(
        {'quota_set': {'id': request.args['project_id'], **{name: values[name] for name in _shown(request)}}}
    )


def update(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /os-quota-sets/{project}."""
    nova.admin_only(request, 'os_compute_api:os-quota-sets:update')
    project, body = request.args['project_id'], dict(nova.body(request, 'quota_set'))
    force = str(body.pop('force', False)).lower() == 'true'
    unknown = sorted(set(body) - set(_shown(request)))
    if unknown:
        raise Refusal(
            400,
            'Invalid input for field/attribute quota_set. Value: '
            f"{body}. Additional properties are not allowed ('{unknown[0]}' was "
            'unexpected)',
        )
    used = usage(nova, project)
    _check_numbers(body)
    for name, value in body.items():
        if not force and 0 <= int(value) < used.get(name, 0):
            raise Refusal(
                400,
                f'Quota limit {value} for {name} must be greater than or equal to '
                f'already used and reserved {used[name]}.',
            )
    user = request.last('user_id')
    kept = nova.user_quotas.setdefault((project, user), {}) if user else nova.quota_sets.setdefault(project, {})
    kept.update({name: int(value) for name, value in body.items()})
    values = limits(nova, project, user)
    return wire.reply({'quota_set': {name: values[name] for name in _shown(request)}})


def _check_numbers(body: dict[str, Any]) -> None:
    """Refuse values that are not whole numbers from -1 to 2**31 - 1."""
    for name, value in body.items():
        field = f'Invalid input for field/attribute {name}. Value: {value}. '
        if isinstance(value, bool) or not re.fullmatch('-?[0-9]+', str(value)):
            raise Refusal(400, f"{field}'{value}' does not match '^-?[0-9]+$'")
        if int(value) < -1:
            raise Refusal(400, f'{field}{value} is less than the minimum of -1')
        if int(value) > 0x7FFFFFFF:
            raise Refusal(400, f'{field}{value} is greater than the maximum of {0x7FFFFFFF}')


def delete(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /os-quota-sets/{project}: reset to the defaults, 202."""
    nova.admin_only(request, 'os_compute_api:os-quota-sets:delete')
    project, user = request.args['project_id'], request.last('user_id')
    for key in [key for key in nova.user_quotas if key[0] == project and user in (None, key[1])]:
        del nova.user_quotas[key]
    if not user:
        nova.quota_sets.pop(project, None)
    return wire.empty(202)


def show_class(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-quota-class-sets/{name}."""
    nova.admin_only(request, 'os_compute_api:os-quota-class-sets:show')
    name = request.args['name']
    values = {**DEFAULTS, **nova.quota_classes.get(name, {})}
    hidden = set(_NETWORK) if request.minor >= 50 else set()
    hidden = hidden | (_FILES if request.minor >= 57 else set())
    if request.minor < 50:
        hidden = hidden | {'server_groups', 'server_group_members'}
    return wire.reply(
        {'quota_class_set': {'id': name, **{key: value for key, value in values.items() if key not in hidden}}}
    )


def update_class(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /os-quota-class-sets/{name}."""
    nova.admin_only(request, 'os_compute_api:os-quota-class-sets:update')
    body = nova.body(request, 'quota_class_set')
    nova.quota_classes.setdefault(request.args['name'], {}).update({key: int(value) for key, value in body.items()})
    response = show_class(nova, request)
    view = wire.loads(response.body)['quota_class_set']
    del view['id']
    return wire.reply({'quota_class_set': view})


def show_limits(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /limits; admins may read those of another project."""
    project = request.last('tenant_id') or request.user.project_id
    if project != request.user.project_id:
        nova.admin_only(request, 'os_compute_api:limits:other_project')
    values, used = limits(nova, project), usage(nova, project)
    absolute = {
        'maxTotalInstances': values['instances'],
        'maxTotalCores': values['cores'],
        'maxTotalRAMSize': values['ram'],
        'maxServerMeta': values['metadata_items'],
        'maxTotalKeypairs': values['key_pairs'],
        'maxServerGroups': values['server_groups'],
        'maxServerGroupMembers': values['server_group_members'],
        'totalInstancesUsed': used['instances'],
        'totalCoresUsed': used['cores'],
        'totalRAMUsed': used['ram'],
        'totalServerGroupsUsed': used['server_groups'],
    }
    if request.minor < 39:
        absolute['maxImageMeta'] = values['metadata_items']
    if request.minor < 57:
        absolute |= {
            'maxPersonality': values['injected_files'],
            'maxPersonalitySize': values['injected_file_content_bytes'],
        }
    if request.minor < 36:
        absolute |= {
            'maxTotalFloatingIps': -1,
            'maxSecurityGroups': -1,
            'maxSecurityGroupRules': -1,
            'totalFloatingIpsUsed': 0,
            'totalSecurityGroupsUsed': 0,
        }
    return wire.reply({'limits': {'rate': [], 'absolute': absolute}})


ROUTES = [
    Route('GET', '/limits', show_limits),
    Route('GET', '/os-quota-sets/{project_id}', show),
    Route('PUT', '/os-quota-sets/{project_id}', update),
    Route('DELETE', '/os-quota-sets/{project_id}', delete),
    Route('GET', '/os-quota-sets/{project_id}/detail', detail),
    Route('GET', '/os-quota-sets/{project_id}/defaults', defaults),
    Route('GET', '/os-quota-class-sets/{name}', show_class),
    Route('PUT', '/os-quota-class-sets/{name}', update_class),
]
