# SPDX-License-Identifier: Apache-2.0
"""Cinder's quota sets and limits, and the quota check of creates. By default nothing is limited."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

DEFAULTS = {
    'volumes': -1,
    'snapshots': -1,
    'gigabytes': -1,
    'backups': -1,
    'backup_gigabytes': -1,
    'per_volume_gigabytes': -1,
    'groups': -1,
}


def limits(cinder: 'Cinder', project_id: str) -> dict[str, int]:
    """Return the limits of a project in this pod, including those of each volume type."""
    typed = {
        f'{name}_{kind["name"]}': -1
        for kind in cinder.types.values()
        for name in ('volumes', 'gigabytes', 'snapshots')
    }
    return {**DEFAULTS, **typed, **cinder.quota_classes['default'], **cinder.quota_sets.get(project_id, {})}


def usage(cinder: 'Cinder', project_id: str) -> dict[str, int]:
    """Count the resources of a project in this pod."""
    used: dict[str, int] = dict.fromkeys(limits(cinder, project_id), 0)
    for volume in cinder.volumes.values():
        if volume['project_id'] != project_id:
            continue
        kind = cinder.types.get(volume['type_id'])
        for suffix in ('', f'_{kind["name"]}' if kind else ''):
            used['volumes' + suffix] = used.get('volumes' + suffix, 0) + 1
            used['gigabytes' + suffix] = used.get('gigabytes' + suffix, 0) + volume['size']
            if not suffix and not kind:
                break
    for snapshot in cinder.snapshots.values():
        if snapshot['project_id'] == project_id:
            used['snapshots'] += 1
            used['gigabytes'] += snapshot['size']
    for backup in cinder.backups.values():
        if backup['project_id'] == project_id:
            used['backups'] += 1
            used['backup_gigabytes'] += backup['size']
    return used


def check(cinder: 'Cinder', request: wire.Request, **wanted: int) -> None:
    """Refuse an amount that exceeds a limit with Cinder's 413."""
    allowed = limits(cinder, request.user.project_id)
    if all(allowed[name] < 0 for name in wanted):
        return
    used = usage(cinder, request.user.project_id)
    retry = [('Retry-After', '0')]
    for name, count in wanted.items():
        if allowed[name] < 0 or used[name] + count <= allowed[name]:
            continue
        if name == 'gigabytes':
            raise Refusal(
                413,
                'VolumeSizeExceedsAvailableQuota: Requested volume or snapshot '
                f'exceeds allowed gigabytes quota. Requested {count}G, quota is '
                f'{allowed[name]}G and {used[name]}G has been consumed.',
                retry,
            )
        title = {'volumes': 'VolumeLimitExceeded', 'backups': 'BackupLimitExceeded'}.get(name, 'SnapshotLimitExceeded')
        raise Refusal(
            413, f"{title}: Maximum number of {name} allowed ({allowed[name]}) exceeded for quota '{name}'.", retry
        )


def check_size(cinder: 'Cinder', request: wire.Request, size: int) -> None:
    """Refuse a volume that is larger than ``per_volume_gigabytes`` with 413."""
    allowed = limits(cinder, request.user.project_id)['per_volume_gigabytes']
    if 0 <= allowed < size:
        text = f'Requested volume size {size}G is larger than maximum allowed limit {allowed}G.'
        raise Refusal(413, f'VolumeSizeExceedsLimit: {text}', [('Retry-After', '0')])


def _may_see(cinder: 'Cinder', request: wire.Request) -> str:
    project = request.args['project_id']
    if project != request.user.project_id:
        cinder.admin_only(request, 'volume_extension:quotas:show')
    return project


def show(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /os-quota-sets/{project}, with the usage if the query says so."""
    project = _may_see(cinder, request)
    values: dict[str, Any] = dict(limits(cinder, project))
    if str(request.last('usage', 'false')).lower() in ('true', '1'):
        used = usage(cinder, project)
        values = {name: {'limit': value, 'in_use': used.get(name, 0), 'reserved': 0} for name, value in values.items()}
    return wire.reply({'quota_set': {'id': project, **values}})


def defaults(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /os-quota-sets/{project}/defaults."""
    return wire.reply({'quota_set': {'id': request.args['project_id'], **limits(cinder, '')}})


def update(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /os-quota-sets/{project}."""
    cinder.admin_only(request, 'volume_extension:quotas:update')
    body = cinder.body(request, 'quota_set')
    project = request.args['project_id']
    known, used = limits(cinder, project), usage(cinder, project)
    for name, value in body.items():
        if name not in known:
            continue
        if 0 <= int(value) < used.get(name, 0) and request.last('skip_validation') == 'false':
            raise Refusal(400, f'Bad key(s) in quota set: {name}')
        cinder.quota_sets.setdefault(project, {})[name] = int(value)
    return wire.reply({'quota_set': limits(cinder, project)})


def delete(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /os-quota-sets/{project}: reset to the defaults, 200."""
    cinder.admin_only(request, 'volume_extension:quotas:delete')
    cinder.quota_sets.pop(request.args['project_id'], None)
    return wire.empty(200)


def show_class(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /os-quota-class-sets/{name}."""
    cinder.admin_only(request, 'volume_extension:quota_classes:get')
    name = request.args['name']
    return wire.reply({'quota_class_set': {'id': name, **limits(cinder, ''), **cinder.quota_classes.get(name, {})}})


def update_class(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /os-quota-class-sets/{name}."""
    cinder.admin_only(request, 'volume_extension:quota_classes:update')
    body = cinder.body(request, 'quota_class_set')
    cinder.quota_classes.setdefault(request.args['name'], {}).update(
        {name: int(value) for name, value in body.items()}
    )
    return wire.reply({'quota_class_set': {**limits(cinder, ''), **body}})


def show_limits(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /limits; admins may read those of another project."""
    project = request.user.project_id
    if request.user.is_admin:
        project = request.last('project_id') or request.last('tenant_id') or project
    values, used = limits(cinder, project), usage(cinder, project)
    return wire.reply(
        {
            'limits': {
                'rate': [],
                'absolute': {
                    'maxTotalVolumes': values['volumes'],
                    'maxTotalSnapshots': values['snapshots'],
                    'maxTotalVolumeGigabytes': values['gigabytes'],
                    'maxTotalBackups': values['backups'],
                    'maxTotalBackupGigabytes': values['backup_gigabytes'],
                    'totalVolumesUsed': used['volumes'],
                    'totalGigabytesUsed': used['gigabytes'],
                    'totalSnapshotsUsed': used['snapshots'],
                    'totalBackupsUsed': used['backups'],
                    'totalBackupGigabytesUsed': used['backup_gigabytes'],
                },
            }
        }
    )


ROUTES = [
    Route('GET', '/limits', show_limits),
    Route('GET', '/os-quota-sets/{project_id}', show),
    Route('PUT', '/os-quota-sets/{project_id}', update),
    Route('DELETE', '/os-quota-sets/{project_id}', delete),
    Route('GET', '/os-quota-sets/{project_id}/defaults', defaults),
    Route('GET', '/os-quota-class-sets/{name}', show_class),
    Route('PUT', '/os-quota-class-sets/{name}', update_class),
]
