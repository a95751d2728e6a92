# SPDX-License-Identifier: Apache-2.0
"""trio2o-db-manage: upgrade the database.

    trio2o-db-manage --config-file /etc/trio2o/trio2o.conf db_sync

`db_sync --expand` makes the changes that are safe while services of the previous release run, and `db_sync --contract`
the others, when none of them runs any more. `upgrade [--revision R]` upgrades to a revision. `version` (or `current`)
prints the revision of the database, `heads` the newest revision of this release.
"""

import argparse
import sys
from collections.abc import Sequence

from oslo_config import cfg

from trio2o import conf as trio2o_conf
from trio2o.db import migration
from trio2o.db.database import Database
from trio2o.db.errors import Unusable


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='trio2o-db-manage', description='Upgrade the Trio2o database.')
    parser.add_argument(
        '--config-file',
        action='append',
        metavar='FILE',
        default=[],
        help='configuration file; may be given more than once',
    )
    parser.add_argument(
        '--config-dir',
        action='append',
        metavar='DIR',
        default=[],
        help='directory of *.conf files; may be given more than once',
    )
    commands = parser.add_subparsers(dest='command', required=True)
    sync = commands.add_parser('db_sync', help='upgrade to the newest revision')
    phases = sync.add_mutually_exclusive_group()
    for phase, when in (
        (migration.EXPAND, 'the changes that are safe while the previous release runs'),
        (migration.CONTRACT, 'the changes that must wait until the previous release no longer runs'),
    ):
        phases.add_argument(f'--{phase}', dest='phase', action='store_const', const=phase, help=f'only {when}')
    upgrade = commands.add_parser('upgrade', help='upgrade to a revision')
    upgrade.add_argument('--revision', default='head', help='revision to upgrade to (%(default)s)')
    commands.add_parser('version', help='print the revision of the database')
    commands.add_parser('current', help='the same as version')
    commands.add_parser('heads', help='print the newest revision of this release')
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors of the database are reported in one line.

    :returns: the exit status
    """
    args = _parser().parse_args(argv)
    oslo_args = [f'--config-file={name}' for name in args.config_file]
    oslo_args += [f'--config-dir={name}' for name in args.config_dir]
    try:
        conf = trio2o_conf.new_config(oslo_args, prog='trio2o-db-manage')
    except cfg.Error as error:
        print(f'trio2o-db-manage: {error}', file=sys.stderr)
        return 1
    if args.command == 'heads':
        print(migration.head())
        return 0
    try:
        return _run(args, Database(conf))
    except Unusable as error:
        print(f'trio2o-db-manage: {error}', file=sys.stderr)
        return 1


def _run(args: argparse.Namespace, db: Database) -> int:
    if args.command in ('version', 'current'):
        print(migration.version(db) or 'none')
        return 0
    if getattr(args, 'phase', None):
        migration.run_phase(db, args.phase)
    else:
        migration.upgrade(db, getattr(args, 'revision', 'head'))
    print(f'the database {db.url.render_as_string()} is at {migration.version(db)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
