# SPDX-License-Identifier: Apache-2.0
"""Create the databases of a lab: migrate a template once for each service and release, and copy it from then on.

The templates are in the virtual environment whose packages made them, so they are deleted with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy

from trio2o.lab.real import configure, processes
from trio2o.lab.real.errors import MigrationFailed
from trio2o.lab.real.settings import sections
from trio2o.lab.real.topology import Service, Topology, databases_of

PACKAGES = {'placement': 'openstack-placement'}
VERSION_CODE = 'import sys; from importlib import metadata; print(metadata.version(sys.argv[1]))'
CELL0 = '00000000-0000-0000-0000-000000000000'


def missing(topology: Topology) -> list[Service]:
    """Return the services that have no databases yet."""
    return [service for service in topology.services if not made_mark(topology, service).exists()]


def made_mark(topology: Topology, service: Service) -> pathlib.Path:
    return topology.state_dir / 'db' / f'{service.name}.made'


def make(topology: Topology, service: Service) -> None:
    """Create the databases of a service."""
    if service.is_sqlite:
        copy_template(topology, service)
    else:
        create_schemas(topology, service)
        load_template(topology, service)
    if service.kind == 'nova':
        map_cells(topology, service)
    made_mark(topology, service).touch()


def template_dir(topology: Topology, service: Service) -> pathlib.Path:
    """Return the folder for a service's migrated databases, one for each release."""
    package = PACKAGES.get(service.kind, service.kind)
    version = subprocess.run(
        [service.python, '-c', VERSION_CODE, package], capture_output=True, text=True, check=True
    ).stdout.strip()
    beside = pathlib.Path(service.python).parent.parent / 'share'
    writable = os.access(beside if beside.exists() else beside.parent, os.W_OK)
    root = beside / 'trio2o-lab' if writable else topology.state_dir / 'templates'
    code = pathlib.Path(__file__).with_name('migrate.py').read_bytes()
    return root / f'{service.kind}-{version}-{hashlib.sha256(code).hexdigest()[:8]}'


@contextlib.contextmanager
def locked(template: pathlib.Path) -> Iterator[None]:
    """Let labs that start at the same time wait for the first one to make a template."""
    template.parent.mkdir(parents=True, exist_ok=True)
    with open(template.with_name(f'{template.name}.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def copy_template(topology: Topology, service: Service) -> None:
    template = template_dir(topology, service)
    with locked(template):
        if not template.exists():
            make_template(topology, service, template)
    for database in databases_of(service):
        source = template / template_name(service, database)
        target = topology.sqlite_file(database)
        remove_file(target)
        shutil.copyfile(source, target)
        if service.kind == 'cinder':
            give_own_ids(target)


#: Tables in which the migration creates a record with a random id -> (table, column) of the references to it.
OWN_IDS = {'volume_types': (), 'group_types': (('group_type_specs', 'group_type_id'),)}


def give_own_ids(file: pathlib.Path) -> None:
    """Change the random ids in a copy, so that two pods have different default types, as after two migrations."""
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        for table, references in OWN_IDS.items():
            for (old,) in connection.execute(f'SELECT id FROM {table}').fetchall():
                new = str(uuid.uuid4())
                connection.execute(f'UPDATE {table} SET id = ? WHERE id = ?', (new, old))
                for other, column in references:
                    connection.execute(f'UPDATE {other} SET {column} = ? WHERE {column} = ?', (new, old))


def template_name(service: Service, database: str) -> str:
    suffix = database.removeprefix(service.name)
    return f'{service.kind}{"" if suffix == "_cell0" else suffix}.sqlite'


def make_template(topology: Topology, service: Service, template: pathlib.Path) -> None:
    """Migrate in a temporary folder, and move it into place when it is complete."""
    with tempfile.TemporaryDirectory(dir=template.parent) as name:
        work = pathlib.Path(name)
        config = sections(topology, service)
        for section in ('database', 'api_database', 'placement_database'):
            if section in config:
                database = pathlib.Path(str(config[section]['connection']).removeprefix('sqlite:///')).stem
                file = work / template_name(service, database)
                config[section] = {**config[section], 'connection': f'sqlite:///{file}'}
        config_file = work / topology.config_file(service).name
        configure.write_private(config_file, configure.render(config))
        migrate(topology, service, config_file)
        config_file.unlink()
        for file in work.glob('*.sqlite'):
            with contextlib.closing(sqlite3.connect(file)) as connection:
                connection.execute('PRAGMA journal_mode = WAL')
        work.chmod(0o755)
        work.rename(template)
        work.mkdir()


def migrate(topology: Topology, service: Service, config_file: pathlib.Path) -> None:
    log = topology.state_dir / 'log' / f'{service.name}.migrate.log'
    if not processes.run(topology, service, 'trio2o.lab.real.migrate', service.kind, str(config_file), log=log):
        raise MigrationFailed(f'the database of {service.name} could not be created: see {log}')


def load_template(topology: Topology, service: Service) -> None:
    """Create the tables of a service's databases on a server."""
    folder = template_dir(topology, service)
    template = folder.with_name(f'{folder.name}-mysql.json')
    with locked(template):
        if template.exists():
            dumps = json.loads(template.read_text())
        else:
            migrate(topology, service, topology.config_file(service))
            tables = {database: dump(topology, service, database) for database in databases_of(service)}
            # cell0 has the schema of the other cell, and no tables yet.
            dumps = {template_name(service, database): found for database, found in tables.items() if found}
            complete = template.with_suffix('.new')
            complete.write_text(json.dumps(dumps, default=str))
            complete.rename(template)
    for database in databases_of(service):
        load_dump(topology, service, database, dumps[template_name(service, database)])


#: The statement that creates a table, its name, and its rows by column.
Table = tuple[str, str, list[dict[str, Any]]]


def dump(topology: Topology, service: Service, database: str) -> list[Table]:
    """Read a database of a server."""
    found: list[Table] = []
    with server_engine(topology.database_url(service, database)).connect() as connection:
        for name in connection.scalars(sqlalchemy.text('SHOW TABLES')).all():
            statement = connection.execute(sqlalchemy.text(f'SHOW CREATE TABLE `{name}`')).one()[1]
            rows = connection.execute(sqlalchemy.text(f'SELECT * FROM `{name}`')).mappings().all()
            found.append((statement, name, [dict(row) for row in rows]))
    return found


def load_dump(topology: Topology, service: Service, database: str, tables: list[Table]) -> None:
    """Create the tables of a dump, with their rows, in a database of a server, unless it has tables."""
    ids: dict[str, str] = {}
    with server_engine(topology.database_url(service, database)).begin() as connection:
        if connection.scalars(sqlalchemy.text('SHOW TABLES')).first():
            return
        connection.exec_driver_sql('SET FOREIGN_KEY_CHECKS = 0')
        for statement, name, rows in tables:
            connection.exec_driver_sql(statement.replace('%', '%%'))
            if name in OWN_IDS:
                ids.update({row['id']: str(uuid.uuid4()) for row in rows})
        for _statement, name, rows in tables:
            for row in rows:
                values = [ids.get(value, value) if isinstance(value, str) else value for value in row.values()]
                columns = ', '.join(f'`{column}`' for column in row)
                places = ', '.join(['%s'] * len(row))
                connection.exec_driver_sql(f'INSERT INTO `{name}` ({columns}) VALUES ({places})', tuple(values))


def create_schemas(topology: Topology, service: Service) -> None:
    """Create a service's empty databases on a server."""
    names = [topology.schema_name(database) for database in databases_of(service)]
    execute_on_server(service, [f'CREATE DATABASE IF NOT EXISTS {n} CHARACTER SET utf8mb4' for n in names])


def drop(topology: Topology, services: Iterable[Service]) -> None:
    """Drop the databases of services, in files or on a server."""
    for service in services:
        names = databases_of(service)
        if service.is_sqlite:
            for name in names:
                remove_file(topology.sqlite_file(name))
        else:
            execute_on_server(service, [f'DROP DATABASE IF EXISTS {topology.schema_name(name)}' for name in names])
        made_mark(topology, service).unlink(missing_ok=True)


def remove_file(file: pathlib.Path) -> None:
    """Remove an SQLite database with its WAL files."""
    for leftover in ('', '-wal', '-shm'):
        file.with_name(file.name + leftover).unlink(missing_ok=True)


def execute_on_server(service: Service, statements: list[str]) -> None:
    with server_engine(str(service.database)).begin() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))


def server_engine(url: str) -> sqlalchemy.Engine:
    """Return an engine that keeps no connections."""
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)


def map_cells(topology: Topology, service: Service) -> None:
    """Add the two cells to Nova's API database, as ``nova-manage cell_v2`` does."""
    api, cell, cell0 = databases_of(service)[0], service.name, f'{service.name}_cell0'
    rows = [
        {'uuid': CELL0, 'name': 'cell0', 'bus': 'none:///', 'url': topology.database_url(service, cell0)},
        {
            'uuid': str(uuid.uuid4()),
            'name': 'cell1',
            'bus': 'fake://',
            'url': topology.database_url(service, cell),
        },
    ]
    statement = sqlalchemy.text(
        'INSERT INTO cell_mappings'
        ' (created_at, uuid, name, transport_url, database_connection, disabled)'
        ' VALUES (CURRENT_TIMESTAMP, :uuid, :name, :bus, :url, false)'
    )
    engine = sqlalchemy.create_engine(topology.database_url(service, api))
    with engine.begin() as connection:
        connection.execute(statement, rows)
    engine.dispose()
