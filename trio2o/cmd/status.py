# SPDX-License-Identifier: Apache-2.0
"""trio2o-status: how things are, for operators and monitoring.

    trio2o-status upgrade check              whether this release can be started over what is there
    trio2o-status pods [--format json]       every pod asked now

Exit status 0: all is well; 1: a warning; 2: it is not well; 3: pods could not be looked at; 255: the upgrade check
itself failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from trio2o import concurrency

PROG = 'trio2o-status'


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. :returns: the exit status"""
    concurrency.init('threading')
    args = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    # What the upgrade check takes is for oslo.upgradecheck to read.
    chosen, _rest = parser.parse_known_args(args)
    if chosen.command == 'pods':
        return _pods(parser.parse_args(args))
    return _upgrade(args)


class _Parser(argparse.ArgumentParser):
    """A mistake in the command line is not a cloud that is unwell: argparse would exit with 2."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(3, f'{self.prog}: error: {message}\n')


def _parser() -> argparse.ArgumentParser:
    from trio2o.cmd import pods_status

    parser = _Parser(prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config-file', action='append', metavar='FILE', default=[], help='may be given repeatedly')
    parser.add_argument('--config-dir', action='append', metavar='DIR', default=[], help='may be given repeatedly')
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('upgrade', help='whether this release can be started: upgrade check', add_help=False)
    pods_status.add_arguments(commands.add_parser('pods', help='ask every pod now, and say what is not well'))
    return parser


def _pods(chosen: argparse.Namespace) -> int:
    from oslo_config import cfg
    from oslo_log import log as oslo_log

    from trio2o import conf as trio2o_conf
    from trio2o.cmd import pods_status
    from trio2o.conf import files as conf_files

    files = [f'--config-file={name}' for name in chosen.config_file]
    directories = [f'--config-dir={name}' for name in chosen.config_dir]
    try:
        conf = trio2o_conf.new_config([*files, *directories], prog=PROG)
        conf_files.check(conf)
    except cfg.Error as error:
        print(f'{PROG}: {" ".join(str(error).split())}', file=sys.stderr)
        return pods_status.UNKNOWN
    # The answer goes to standard output; what libraries have to say goes to the log, if there is one.
    oslo_log.set_defaults(default_log_levels=[*_QUIET, 'trio2o=ERROR'])
    conf.set_default('use_stderr', True)
    oslo_log.setup(conf, 'trio2o')
    return pods_status.run(conf, chosen)


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
