# SPDX-License-Identifier: Apache-2.0
"""Create the schema of a service with the service's own code: ``python -m ... KIND CONFIG_FILE``."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

from trio2o.lab.real import serve


def run(main: Callable[[], object], *arguments: str) -> None:
    """Run a command of the service as if from the shell."""
    sys.argv = list(arguments)
    try:
        main()
    except SystemExit as leaving:
        if leaving.code:
            raise


def keystone(config: str) -> None:
    from keystone.cmd import manage

    run(manage.main, 'keystone-manage', '--config-file', config, 'db_sync')


def glance(config: str) -> None:
    from glance.cmd import manage

    run(manage.main, 'glance-manage', '--config-file', config, 'db_sync')


def placement(config: str) -> None:
    from placement.cmd import manage

    run(manage.main, 'placement-manage', '--config-file', config, 'db', 'sync')


def cinder(config: str) -> None:
    from cinder.cmd import manage

    run(manage.main, 'cinder-manage', '--config-file', config, 'db', 'sync')


def nova(config: str) -> None:
    """Migrate the API database and the database of a cell; cell0 has the same schema."""
    sys.argv = ['nova-manage', '--config-file', config]
    from nova import config as nova_config
    from nova.db import migration

    nova_config.parse_args(sys.argv)
    migration.db_sync(database='api')
    migration.db_sync(database='main')


def neutron(config: str) -> None:
    """Build the schema from the models on SQLite, where Neutron's migrations do not run."""
    from neutron.db.migration import cli

    if 'sqlite:' not in open(config).read():
        run(cli.main, 'neutron-db-manage', '--config-file', config, 'upgrade', 'heads')
        return
    import sqlalchemy
    from neutron.db.migration.models import head

    connection = next(line for line in open(config) if line.startswith('connection = '))
    engine = sqlalchemy.create_engine(connection.partition(' = ')[2].strip())
    head.get_metadata().create_all(engine)
    run(cli.main, 'neutron-db-manage', '--config-file', config, 'stamp', 'heads')


if __name__ == '__main__':
    MIGRATIONS = {
        'keystone': keystone,
        'glance': glance,
        'placement': placement,
        'cinder': cinder,
        'nova': nova,
        'neutron': neutron,
    }
    gc.set_threshold(serve.YOUNG_OBJECTS, 10, 10)
    MIGRATIONS[sys.argv[1]](sys.argv[2])
