# SPDX-License-Identifier: Apache-2.0
"""trio2o-status: checks for operators and monitoring.

    trio2o-status upgrade check              check whether this release can be started
    trio2o-status pods [--format json]       check the health of all pods
    trio2o-status catalog [--format json]    check that Keystone's catalog leads no client to a pod

Exit status 0: success; 1: warning; 2: critical; 3: nothing could be checked; 255: the upgrade check itself failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from trio2o import concurrency, gc_tuning

PROG = 'trio2o-status'


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. :returns: the exit status"""
    gc_tuning.collect_less()
    concurrency.init('threading')
    args = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    # Arguments of the upgrade check are parsed by oslo.upgradecheck.
    chosen, _rest = parser.parse_known_args(args)
    if chosen.command != 'upgrade':
        return _status(parser.parse_args(args))
    return _upgrade(args)


class _Parser(argparse.ArgumentParser):
    """Exits with 3 for an error in the command line; the 2 of argparse means critical here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(3, f'{self.prog}: error: {message}\n')


def _parser() -> argparse.ArgumentParser:
    from trio2o.cmd import catalog_status, pods_status

    parser = _Parser(prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config-file', action='append', metavar='FILE', default=[], help='may be given repeatedly')
    parser.add_argument('--config-dir', action='append', metavar='DIR', default=[], help='may be given repeatedly')
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('upgrade', help='check whether this release can be started: upgrade check', add_help=False)
    for name, module, text in (
        ('pods', pods_status, 'check the health of all pods'),
        ('catalog', catalog_status, "check that Keystone's catalog leads no client to a pod"),
    ):
        command = commands.add_parser(name, help=text)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _status(chosen: argparse.Namespace) -> int:
    from oslo_config import cfg
    from oslo_log import log as oslo_log

    from trio2o import conf as trio2o_conf
    from trio2o.cmd.output import UNKNOWN
    from trio2o.conf import files as conf_files

    files = [f'--config-file={name}' for name in chosen.config_file]
    directories = [f'--config-dir={name}' for name in chosen.config_dir]
    try:
        conf = trio2o_conf.new_config([*files, *directories], prog=PROG)
        conf_files.check(conf)
    except cfg.Error as error:
        print(f'{PROG}: {" ".join(str(error).split())}', file=sys.stderr)
        return UNKNOWN
    # The result is printed to standard output; messages of libraries go to the log or to standard error.
    oslo_log.set_defaults(default_log_levels=[*_QUIET, 'trio2o=ERROR'])
    conf.set_default('use_stderr', True)
    oslo_log.setup(conf, 'trio2o')
    return int(chosen.run(conf, chosen))


_QUIET = ['alembic=WARNING', 'keystoneauth=WARNING', 'urllib3=WARNING', 'stevedore=WARNING']


def _upgrade(args: list[str]) -> int:
    from oslo_config import cfg
    from oslo_log import log as oslo_log
    from oslo_upgradecheck import upgradecheck

    from trio2o import conf as trio2o_conf
    from trio2o.cmd.checks import Checks

    conf = cfg.ConfigOpts()
    trio2o_conf.register(conf)
    oslo_log.set_defaults(default_log_levels=[*_QUIET, 'trio2o=WARNING'])
    try:
        return int(upgradecheck.main(conf, 'trio2o', Checks(conf), argv=args))
    except cfg.Error as error:
        print(f'{PROG}: {" ".join(str(error).split())}', file=sys.stderr)
        return 255


if __name__ == '__main__':
    sys.exit(main())
