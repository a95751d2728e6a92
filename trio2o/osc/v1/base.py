# SPDX-License-Identifier: Apache-2.0
"""Base of the commands: examples in their help, options of lists, rows made from resources."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cliff.columns import FormattableColumn
from osc_lib import exceptions
from osc_lib.cli import format_columns
from osc_lib.command import command

from trio2o.osc.errors import EXPLAINED, command_error

if TYPE_CHECKING:
    from trio2o.sdk.proxy import Proxy
    from trio2o.sdk.resources import Pod

Json = dict[str, Any]


class Column(NamedTuple):
    """A column of a list: its title, and the field it shows."""

    title: str
    field: str


class Trio2oCommand(command.Command):
    """A command with examples at the end of its help."""

    #: (purpose, command line)
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def client(self) -> Proxy:
        return self.app.client_manager.trio2o  # type: ignore[attr-defined]

    def run(self, parsed_args: argparse.Namespace) -> int:
        try:
            return super().run(parsed_args)
        except EXPLAINED as error:
            raise command_error(error) from error

    def find_pod(self, name_or_id: str) -> Pod:
        """Find a pod by name, or else by id.

        :raises CommandError: there is none
        """
        pod = self.client.find_pod(name_or_id)
        if pod is None:
            raise exceptions.CommandError(
                f"No pod has the name or ID '{name_or_id}'. 'openstack trio2o pod list' shows the pods."
            )
        return pod

    def pod_id(self, name_or_id: str | None) -> str | None:
        """Find the id of a pod; None if none is named."""
        return self.find_pod(name_or_id).id if name_or_id else None

    def pod_names(self) -> dict[str, str]:
        """Map pod ids to names."""
        return {pod.id: pod.name for pod in self.client.pods()}

    def get_epilog(self) -> str:
        shown = '\n\n'.join(f'    # {purpose}\n    {line}' for purpose, line in self.examples)
        more = super().get_epilog().strip()
        return '\n\n'.join(part for part in (f'Examples::\n\n{shown}' if shown else '', more) if part)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        return parser

    def say(self, text: str) -> None:
        """Write to standard error, so that the output of the command can be parsed."""
        self.app.stderr.write(f'{text}\n')
        self.app.stderr.flush()


class Lister(Trio2oCommand, command.Lister):
    pass


class ShowOne(Trio2oCommand, command.ShowOne):
    pass


class Steer(Trio2oCommand):
    """Base of the commands that steer moves, or groups of moves.

    :cvar verb: what is asked of them
    """

    verb = ''
    metavar = '<move>'

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('ids', metavar=self.metavar, nargs='+', help='One or more of them (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        each(parsed_args.ids, self.steer)

    def steer(self, id_: str) -> None:
        raise NotImplementedError


def add_paging(parser: argparse.ArgumentParser, sortable: str) -> None:
    """Add the options of every list.

    :param sortable: an example value of ``--sort``
    """
    parser.add_argument(
        '--sort',
        metavar='<field>[:<direction>]',
        help=f'Sort by fields, each with :asc or :desc, separated by commas (example: {sortable})',
    )
    parser.add_argument('--limit', metavar='<number>', type=a_number, help='List at most this many')
    parser.add_argument('--marker', metavar='<id>', help='Begin after the one with this ID')


def paging(parsed_args: argparse.Namespace) -> Json:
    return {'sort': parsed_args.sort, 'limit': parsed_args.limit, 'marker': parsed_args.marker}


def a_number(text: str) -> int:
    """Parse a number.

    :raises ArgumentTypeError: the text is not a whole number
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number, 0 or more")
    return int(text)


def a_pair(text: str) -> tuple[str, str]:
    """Split ``key=value``.

    :raises ArgumentTypeError: the text does not have that form
    """
    key, equals, value = text.partition('=')
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form <key>=<value>")
    return key, value


def rows(columns: Sequence[Column], items: Iterable[Json]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Make titles and rows for cliff."""
    titles = tuple(column.title for column in columns)
    return titles, [tuple(cell(item.get(column.field)) for column in columns) for item in items]


def fields(item: Json, *hidden: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Make names and values of a resource for cliff, sorted by name."""
    names = tuple(sorted(name for name in item if name not in hidden))
    return names, tuple(cell(item[name]) for name in names)


def cell(value: Any) -> Any:
    """Format objects and lists for a table; in JSON and YAML they stay objects and lists."""
    if isinstance(value, dict):
        return format_columns.DictColumn(value)
    if isinstance(value, list):
        if value and all(isinstance(item, dict) for item in value):
            return Lines(value)
        return format_columns.ListColumn(value)
    return value


class Lines(FormattableColumn[list[Json]]):
    """A list of objects, shown one a line."""

    def human_readable(self) -> str:
        return '\n'.join(
            ', '.join(f'{name}={value}' for name, value in item.items() if value not in (None, ''))
            for item in self._value
        )


def each(names: Sequence[str], work: Any) -> None:
    """Call a function with each name, go on after a failure, and report the failures at the end.

    :raises CommandError: naming those that failed
    """
    failed = []
    for name in names:
        try:
            work(name)
        except EXPLAINED as error:
            failed.append(f'{name}: {command_error(error)}')
        except exceptions.CommandError as error:
            failed.append(f'{name}: {error}')
    if failed:
        done = len(names) - len(failed)
        lines = '\n'.join(failed)
        raise exceptions.CommandError(lines if len(names) == 1 else f'{done} of {len(names)} done.\n{lines}')
