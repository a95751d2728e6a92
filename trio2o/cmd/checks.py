# SPDX-License-Identifier: Apache-2.0
"""The checks of ``trio2o-status upgrade check``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from trio2o import exception
from trio2o.conf import credentials, files, service_auth
from trio2o.db import migration
from trio2o.db import pods as db_pods
from trio2o.db.database import Database
from trio2o.db.errors import UNREACHABLE, Unusable
from trio2o.pods import accounts
from trio2o.pods.endpoints import COMPUTE, VOLUME, PodEndpoint
from trio2o.pods.identity import Identity


def schema_result(known: Sequence[migration.Revision], revision: str | None) -> Result:
    """Check whether this release can run on a database at a revision."""
    try:
        left = migration.pending(known, revision)
    except Unusable as error:
        return Result(Code.FAILURE, f'{error}.')
    if any(step.phase == migration.EXPAND for step in left):
        return Result(
            Code.FAILURE,
            f'The database is at revision {revision or "none"}, this release needs {known[-1].id}: run '
            'trio2o-db-manage db_sync, or db_sync --expand while services of the release before run.',
        )
    if left:
        return Result(
            Code.WARNING,
            'The upgrade is not finished: run trio2o-db-manage db_sync --contract when no service of the release '
            'before runs any more.',
        )
    return Result(Code.SUCCESS)


class Checks(upgradecheck.UpgradeCommands):
    """The checks; none of them changes anything."""

    def __init__(self, conf: cfg.ConfigOpts, transport: Any = None) -> None:
        """:param transport: a ``requests`` adapter used in place of the network"""
        super().__init__()
        self._conf = conf
        self._identity = Identity(conf, transport)

    def _database(self) -> Result:
        try:
            revision = migration.version(Database(self._conf))
        except UNREACHABLE as error:
            return Result(Code.FAILURE, f'The database cannot be reached: {type(error).__name__}.')
        return schema_result(migration.history(), revision)

    def _keystone(self) -> Result:
        try:
            files.check(self._conf)
            credentials.check(self._conf)
        except (files.FileNotReadable, credentials.CredentialsMissing) as error:
            return Result(Code.FAILURE, f'{error}.')
        try:
            self._identity.token()
        except exception.ServiceUnavailable as error:
            return Result(Code.FAILURE, f'{str(error).rstrip(".")}. Look at [service_auth].')
        return Result(Code.SUCCESS)

    def _pods(self) -> Result:
        try:
            pods = [pod for pod in db_pods.list_all(Database(self._conf)) if not pod.is_top]
        except UNREACHABLE as error:
            return Result(Code.FAILURE, f'Pods cannot be read: {type(error).__name__}.')
        missing = []
        for pod in pods:
            known = pod.endpoints or {}
            missing += [
                f'{pod.pod_name} {service}'
                for service in (COMPUTE, VOLUME)
                if not known.get(service, {}).get('max_version')
            ]
        if missing:
            return Result(Code.WARNING, f'Endpoint or versions are not known for: {", ".join(missing)}.')
        return Result(Code.SUCCESS)

    def _accounts(self) -> Result:
        try:
            pods = [pod for pod in db_pods.list_all(Database(self._conf)) if not pod.is_top]
        except UNREACHABLE as error:
            return Result(Code.FAILURE, f'Pods cannot be read: {type(error).__name__}.')
        for pod in pods:
            known = {name: PodEndpoint.from_json(endpoint) for name, endpoint in (pod.endpoints or {}).items()}
            problem = accounts.find_problem(self._identity, pod.pod_name, known)
            if problem is not None:
                return Result(Code.FAILURE, f'Pod {pod.pod_name}: {problem}')
        names = {pod.pod_name.lower() for pod in pods}
        unused = [name for name in service_auth.pods_with_sections(self._conf) if name not in names]
        if unused:
            return Result(Code.WARNING, f'No pod has the name in these sections: {", ".join(unused)}.')
        return Result(Code.SUCCESS)

    _upgrade_checks = (
        ('Database revision', _database),
        ('Keystone', _keystone),
        ('Accounts of pods', _accounts),
        ('Endpoints of pods', _pods),
    )
