# SPDX-License-Identifier: Apache-2.0
"""POST /servers/{id}/action: the only key of the body is the action. All actions are done at once."""

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.nova import disks, networking, quotas, records, server_views, servers
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

Server = dict[str, Any]
Action = Callable[['Nova', wire.Request, Server, Any], wire.Response]

_BY_CELL = ('os-start', 'os-stop', 'trigger_crash_dump')  # their 404 has another text in Nova


def act(nova: 'Nova', request: wire.Request) -> wire.Response:
    """Call the handler of the action in the body. As in Nova, 400 for an unknown action precedes 404."""
    body = nova.body_of(request, 'application/vnd.openstack.compute+json')
    if not isinstance(body, dict) or len(body) != 1:
        raise Refusal(400, 'Malformed request body')
    name, given = next(iter(body.items()))
    if name not in ACTIONS:
        raise Refusal(400, f'There is no such action: {name}')
    action, since, until = ACTIONS[name]
    if not since <= request.minor <= until:
        raise Refusal(404, 'The resource could not be found.')
    if request.args['server_id'] not in nova.servers and name in _BY_CELL:
        nova.server(request, 'Instance {} has no mapping to a cell.')
    server = nova.server(request)
    if server['locked_by'] and not request.user.is_admin and name not in ('lock', 'unlock'):
        raise Refusal(409, f'Instance {server["id"]} is locked')
    return action(nova, request, server, given)


def _note(nova: 'Nova', request: wire.Request, server: Server, name: str) -> None:
    records.note(nova, server, name, request.request_id, request.user.user_id, request.user.project_id)


def _require_state(server: Server, name: str, *states: str) -> None:
    if states and server['vm_state'] not in states:
        raise Refusal(409, f"Cannot '{name}' instance {server['id']} while it is in vm_state {server['vm_state']}")
    if server['task_state'] is not None:
        raise Refusal(409, f"Cannot '{name}' instance {server['id']} while it is in task_state {server['task_state']}")


def _change_state(name: str, states: tuple[str, ...], admin: str = '', status: int = 202, **changes: Any) -> Action:
    """Make an action that only changes a server in one of some states."""

    def action(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
        if admin:
            nova.admin_only(request, admin)
        _require_state(server, name, *states)
        _note(nova, request, server, name)
        records.touch(nova, server, **changes)
        return wire.empty(status)

    return action


def resize(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Resize a server: its status becomes VERIFY_RESIZE, with the new flavor."""
    wanted = str(given.get('flavorRef', ''))
    flavor = nova.flavors.get(wanted)
    if flavor is None:
        raise Refusal(404 if not wanted else 400, f'Flavor {wanted} could not be found.')
    if flavor['id'] == server['flavor']['id']:
        raise Refusal(400, 'When resizing, instances must change flavor!')
    _require_state(server, 'resize', 'active', 'stopped')
    _note(nova, request, server, 'resize')
    keys = server['flavor'].keys()
    records.touch(
        nova,
        server,
        old_flavor=server['flavor'],
        vm_state='resized',
        flavor={**{key: flavor[key] for key in keys}, 'extra_specs': dict(flavor['extra_specs'])},
    )
    return wire.empty(202)


def confirm_resize(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Confirm a resize: 204, unlike most actions."""
    _require_state(server, 'confirmResize', 'resized')
    _note(nova, request, server, 'confirmResize')
    records.touch(nova, server, vm_state='active', old_flavor=None)
    return wire.empty(204)


def revert_resize(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Revert a resize to the old flavor."""
    _require_state(server, 'revertResize', 'resized')
    _note(nova, request, server, 'revertResize')
    records.touch(nova, server, vm_state='active', flavor=server['old_flavor'] or server['flavor'], old_flavor=None)
    return wire.empty(202)


def rebuild(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Rebuild a server: 202 with the server and a Location."""
    if 'imageRef' not in given:
        raise Refusal(
            400, f"Invalid input for field/attribute rebuild. Value: {given}. 'imageRef' is a required property"
        )
    if nova.glance is not None and given['imageRef'] not in nova.glance.images:
        raise Refusal(400, 'Cannot find image for rebuild')
    quotas.check_metadata(nova, request, given.get('metadata') or {})
    quotas.check_files(nova, request, given.get('personality') or [])
    _require_state(server, 'rebuild', 'active', 'stopped', 'error')
    _note(nova, request, server, 'rebuild')
    changes: dict[str, Any] = {'image_ref': given['imageRef'], 'vm_state': 'active'}
    for key, column in (
        ('name', 'name'),
        ('metadata', 'metadata'),
        ('description', 'description'),
        ('accessIPv4', 'access_ip_v4'),
    ):
        if key in given:
            changes[column] = given[key]
    records.touch(nova, server, **changes)
    _replace_disks(nova, request, server, given)
    groups = servers.groups_of(nova, server)
    view = server_views.full(nova, request, server, complete=request.minor >= 75, groups=groups)
    if 54 <= request.minor < 75:
        view['key_name'] = server['key_name']
    if request.minor >= 57:
        view['user_data'] = server['user_data']
    view['adminPass'] = given.get('adminPass') or secrets.token_urlsafe(9)
    location = server_views.links(request, 'servers', server['id'])[0]['href']
    return wire.reply({'server': view}, 202, [('Location', location)])


def _replace_disks(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> None:
    """Replace the root disk by the image, and the others by new ones; a boot volume only from 2.93."""
    data = nova.glance.contents.get(given['imageRef']) if nova.glance is not None else None
    is_volume = disks.boot_volume(server) is not None
    root = disks.find(nova, server)
    disks.lose(server)
    if data is not None and (request.minor >= 93 or not is_volume):
        root.replace(data)
    disks.write_config_drive(server, given.get('personality') or [])


def reboot(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Reboot a server, SOFT or HARD."""
    kind = str((given or {}).get('type', '')).upper() if isinstance(given, dict) else ''
    if kind not in ('SOFT', 'HARD'):
        raise Refusal(400, f"Invalid input for field/attribute reboot. Value: {given}. 'type' is a required property")
    _require_state(server, 'reboot', 'active', 'stopped', 'paused', 'suspended', 'error')
    _note(nova, request, server, 'reboot')
    records.touch(nova, server, vm_state='active', power_state=1)
    return wire.empty(202)


def lock(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Lock a server, with a reason from 2.73."""
    named = isinstance(given, dict) and request.minor >= 73
    reason = given.get('locked_reason') if named else None
    _note(nova, request, server, 'lock')
    records.touch(nova, server, locked_by='admin' if request.user.is_admin else 'owner', locked_reason=reason)
    return wire.empty(202)


def unlock(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Unlock a server; users cannot remove an administrator's lock."""
    if server['locked_by'] == 'admin':
        nova.admin_only(request, 'os_compute_api:os-lock-server:unlock:unlock_override')
    _note(nova, request, server, 'unlock')
    records.touch(nova, server, locked_by=None, locked_reason=None)
    return wire.empty(202)


def reset_state(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Set the state to active or error; for admins."""
    nova.admin_only(request, 'os_compute_api:os-admin-actions:reset_state')
    if given.get('state') not in ('active', 'error'):
        raise Refusal(
            400,
            f'Invalid input for field/attribute state. Value: '
            f'{given.get("state")}. {given.get("state")!r} is not one of '
            "['active', 'error']",
        )
    records.touch(nova, server, vm_state=given['state'], task_state=None)
    return wire.empty(202)


def create_image(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Create an image: the answer is a Location in Glance up to 2.44, then ``image_id``."""
    if nova.glance is None:
        raise Refusal(400, 'Unable to set metadata on the image')
    _require_state(server, 'createImage', 'active', 'stopped', 'paused', 'suspended')
    _note(nova, request, server, 'createImage')
    image = disks.make_image(nova, server, given['name'], request.user.project_id, **(given.get('metadata') or {}))
    if nova.glance.when_stored(image['id'], lambda: records.touch(nova, server, task_state=None)):
        records.touch(nova, server, task_state='image_uploading')
    if request.minor >= 45:
        return wire.reply({'image_id': image['id']}, 202)
    return wire.bare(202, [('Location', f'{nova.glance.url}/images/{image["id"]}')])


def create_backup(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Create an image; older backups stay, whatever the rotation. Not of a server with a boot volume."""
    if disks.boot_volume(server) is not None:
        raise Refusal(400, 'Backup is not supported for volume-backed instances.')
    return create_image(nova, request, server, given)


def shelve(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Shelve and offload a server: an image keeps its root disk, the other local disks are lost."""
    _require_state(server, 'shelve', 'active', 'stopped', 'paused', 'suspended')
    _note(nova, request, server, 'shelve')
    if disks.boot_volume(server) is None and nova.glance is not None:
        image = disks.make_image(nova, server, f'{server["name"]}-shelved', server['project_id'])
        server['shelved_image'] = image['id']
    disks.lose(server)
    records.touch(nova, server, vm_state='shelved_offloaded', power_state=4, host=None, node=None)
    return wire.empty(202)


def change_password(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Accept a new password; it is not stored."""
    _require_state(server, 'set_admin_password', 'active')
    _note(nova, request, server, 'changePassword')
    return wire.empty(202)


def console_output(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Return the console output of Nova's fake driver."""
    return wire.reply({'output': 'FAKE CONSOLE OUTPUT\nANOTHER\nLAST LINE'})


def vnc_console(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Return the URL of a VNC console in this pod, up to 2.5."""
    url = f'http://{nova.hosts[0]}:6080/vnc_auto.html?path=%3Ftoken%3D{nova.new_id()}'
    return wire.reply({'console': {'type': given.get('type', 'novnc'), 'url': url}})


def security_group(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Add or remove a security group."""
    adding = 'addSecurityGroup' in wire.loads(request.body)
    name = given.get('name') if isinstance(given, dict) else None
    if not isinstance(name, str) or not name:
        field = 'addSecurityGroup' if adding else 'removeSecurityGroup'
        raise Refusal(400, f"Invalid input for field/attribute {field}. Value: {given}. 'name' is a required property")
    if networking.change_group(nova, request, server, name, adding):
        return wire.empty(202)
    if adding and name not in server['security_groups']:
        server['security_groups'].append(name)
    elif not adding and name in server['security_groups']:
        server['security_groups'].remove(name)
    return wire.empty(202)


def rescue(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Rescue a server: 200 with the password."""
    _require_state(server, 'rescue', 'active', 'stopped', 'error')
    _note(nova, request, server, 'rescue')
    records.touch(nova, server, vm_state='rescued')
    password = (given or {}).get('adminPass') if isinstance(given, dict) else None
    return wire.reply({'adminPass': password or secrets.token_urlsafe(9)})


def force_delete(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Delete a server at once."""
    _note(nova, request, server, 'delete')
    records.erase(nova, server)
    return wire.empty(202)


#: Last minor version of an action that no microversion removed.
_ALWAYS = 1 << 30
_MIGRATE = 'os_compute_api:os-migrate-server:'
#: Action -> function, first and last minor version.
ACTIONS: dict[str, tuple[Action, int, int]] = {
    name: (action, since, until)
    for name, action, since, until in (
        ('os-start', _change_state('start', ('stopped',), vm_state='active', power_state=1), 0, _ALWAYS),
        (
            'os-stop',
            _change_state('stop', ('active', 'error', 'rescued'), vm_state='stopped', power_state=4),
            0,
            _ALWAYS,
        ),
        ('pause', _change_state('pause', ('active', 'rescued'), vm_state='paused', power_state=3), 0, _ALWAYS),
        ('unpause', _change_state('unpause', ('paused',), vm_state='active', power_state=1), 0, _ALWAYS),
        ('suspend', _change_state('suspend', ('active', 'rescued'), vm_state='suspended', power_state=4), 0, _ALWAYS),
        ('resume', _change_state('resume', ('suspended',), vm_state='active', power_state=1), 0, _ALWAYS),
        ('unrescue', _change_state('unrescue', ('rescued',), vm_state='active'), 0, _ALWAYS),
        ('shelve', shelve, 0, _ALWAYS),
        (
            'shelveOffload',
            _change_state(
                'shelve_offload', ('shelved', 'shelved_offloaded'), vm_state='shelved_offloaded', host=None, node=None
            ),
            0,
            _ALWAYS,
        ),
        (
            'migrate',
            _change_state('migrate', ('active', 'stopped'), _MIGRATE + 'migrate', vm_state='resized'),
            0,
            _ALWAYS,
        ),
        ('os-migrateLive', _change_state('migrate_live', ('active', 'paused'), _MIGRATE + 'migrate_live'), 0, _ALWAYS),
        ('trigger_crash_dump', _change_state('trigger_crash_dump', ('active', 'paused', 'rescued')), 17, _ALWAYS),
        ('resize', resize, 0, _ALWAYS),
        ('confirmResize', confirm_resize, 0, _ALWAYS),
        ('revertResize', revert_resize, 0, _ALWAYS),
        ('rebuild', rebuild, 0, _ALWAYS),
        ('reboot', reboot, 0, _ALWAYS),
        ('lock', lock, 0, _ALWAYS),
        ('unlock', unlock, 0, _ALWAYS),
        ('os-resetState', reset_state, 0, _ALWAYS),
        ('createImage', create_image, 0, _ALWAYS),
        ('createBackup', create_backup, 0, _ALWAYS),
        ('changePassword', change_password, 0, _ALWAYS),
        ('os-getConsoleOutput', console_output, 0, _ALWAYS),
        ('os-getVNCConsole', vnc_console, 0, 5),
        ('rescue', rescue, 0, _ALWAYS),
        ('addSecurityGroup', security_group, 0, _ALWAYS),
        ('removeSecurityGroup', security_group, 0, _ALWAYS),
        ('forceDelete', force_delete, 0, _ALWAYS),
    )
}


def unshelve(nova: 'Nova', request: wire.Request, server: Server, given: Any) -> wire.Response:
    """Unshelve a server, from 2.77 into a zone of choice."""
    _require_state(server, 'unshelve', 'shelved', 'shelved_offloaded')
    zone = (given or {}).get('availability_zone')
    if zone and zone not in nova.settings.zones:
        raise Refusal(400, f'The requested availability zone is not available: {zone}')
    _note(nova, request, server, 'unshelve')
    shelved = server.pop('shelved_image', None)
    if shelved is not None and nova.glance is not None:
        if shelved not in nova.glance.contents:
            records.touch(nova, server, vm_state='error')
            return wire.empty(202)
        disks.find(nova, server).replace(nova.glance.contents[shelved])
        nova.glance.erase(shelved)
    disks.write_config_drive(server, [])
    records.touch(
        nova,
        server,
        vm_state='active',
        power_state=1,
        host=nova.hosts[0],
        node=nova.hosts[0],
        availability_zone=zone or server['availability_zone'],
    )
    return wire.empty(202)


ACTIONS['unshelve'] = (unshelve, 0, _ALWAYS)

ROUTES = [
    Route('POST', '/servers/{server_id}/action', act),
    Route('POST', '/os-volumes_boot/{server_id}/action', act, until=103),
]
