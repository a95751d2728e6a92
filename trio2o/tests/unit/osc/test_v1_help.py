# SPDX-License-Identifier: Apache-2.0
"""Each command has a description and examples that it accepts."""

import configparser
import importlib
import importlib.metadata
import pathlib
import shlex

import testtools
from openstackclient import shell

from trio2o.osc.v1.base import Trio2oCommand

TOP = pathlib.Path(__file__).resolve().parents[4]


def commands():
    """{name of a command: its class}, from setup.cfg."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(TOP / 'setup.cfg')
    found = {}
    for line in parser['entry_points']['openstack.trio2o.v1'].strip().splitlines():
        name, _equals, where = (part.strip() for part in line.partition('='))
        module, _colon, attribute = where.partition(':')
        found[name.replace('_', ' ')] = getattr(importlib.import_module(module), attribute)
    return found


class TestHelp(testtools.TestCase):
    shell = shell.OpenStackShell()

    def parser_of(self, name, command):
        return command(self.shell, None, cmd_name=name).get_parser(f'openstack {name}')

    def test_each_command_is_registered(self):
        classes = set()
        for file in (TOP / 'trio2o' / 'osc' / 'v1').glob('*.py'):
            module = importlib.import_module(f'trio2o.osc.v1.{file.stem}')
            classes |= {
                value
                for value in vars(module).values()
                if isinstance(value, type) and issubclass(value, Trio2oCommand) and value.__module__ == module.__name__
            }
        abstract = {
            value for value in classes if value.__module__ == 'trio2o.osc.v1.base' or value.__name__.startswith('_')
        }
        self.assertEqual(classes - abstract, set(commands().values()))

    def test_names_of_commands_are_those_of_classes(self):
        for name, command in commands().items():
            _trio2o, *noun, verb = name.split()
            self.assertEqual(''.join(word.capitalize() for word in (verb, *noun)), command.__name__)

    def test_examples_are_accepted(self):
        for name, command in commands().items():
            self.assertTrue(command.examples, name)
            parser = self.parser_of(name, command)
            self.assertIn(f'openstack {name}', parser.format_help())
            for purpose, line in command.examples:
                self.assertTrue(purpose)
                prefix = f'openstack {name}'
                self.assertTrue(line.startswith(prefix), line)
                parser.parse_args(shlex.split(line)[len(prefix.split()) :])

    def test_each_option_has_help(self):
        for name, command in commands().items():
            self.assertTrue(command.__doc__, name)
            for action in self.parser_of(name, command)._actions:
                self.assertTrue(action.help, f'{name} {action.option_strings or action.dest}')
