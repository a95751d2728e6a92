# SPDX-License-Identifier: Apache-2.0
"""Each entry point of setup.cfg can be loaded, and each plug-in has one."""

import ast
import configparser
import importlib
import importlib.metadata
import pathlib
import subprocess
import sys

import setuptools
import testtools

from trio2o import job_types

PACKAGE = pathlib.Path(__file__).resolve().parents[2]
TOP = PACKAGE.parent

# Namespace -> the folder whose modules are its plug-ins.
PLUGINS = {
    'trio2o.scheduler.filters': 'scheduler/filters',
    'trio2o.scheduler.weighers': 'scheduler/weighers',
    'trio2o.jobs': 'xjob/jobs',
}
NO_PLUGIN = {'__init__', 'base'}

# The entry points of commands are loaded in a subprocess each: importing one may patch the standard
# library.
LOOK_UP = 'import importlib, sys; getattr(importlib.import_module(sys.argv[1]), sys.argv[2])'


def entry_points():
    """Read setup.cfg: namespace -> [EntryPoint]."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(TOP / 'setup.cfg')
    return {
        group: [
            importlib.metadata.EntryPoint(*(part.strip() for part in line.split('=', 1)), group)
            for line in lines.strip().splitlines()
        ]
        for group, lines in parser['entry_points'].items()
    }


def source_of(entry):
    path = TOP.joinpath(*entry.module.split('.'))
    return next((file for file in (path.with_suffix('.py'), path / '__init__.py') if file.is_file()), None)


class TestEntryPoints(testtools.TestCase):
    def require_module(self, entry):
        if source_of(entry) is None:
            self.skipTest(f'{entry.module} is not written yet')

    def check_commands(self, entry):
        self.require_module(entry)
        result = subprocess.run(
            [sys.executable, '-c', LOOK_UP, entry.module, entry.attr],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(0, result.returncode, result.stderr)

    def check_plugin(self, entry):
        self.require_module(entry)
        loaded = entry.load()
        if entry.attr:
            self.assertTrue(callable(loaded), f'{entry.value} cannot be called')

    def test_each_plugin_has_an_entry_point(self):
        for group, folder in PLUGINS.items():
            modules = {file.stem for file in (PACKAGE / folder).glob('*.py')} - NO_PLUGIN
            listed = {entry.module.rpartition('.')[2] for entry in entry_points()[group]}
            self.assertEqual(set(), modules - listed, f'{folder}: not in setup.cfg under {group}')

    def test_job_types_equal_entry_points(self):
        named = {value for name, value in vars(job_types).items() if name.isupper()}
        self.assertEqual({entry.name for entry in entry_points()['trio2o.jobs']}, named)

    def test_names_of_entry_points_are_unique(self):
        for group, entries in entry_points().items():
            names = [entry.name for entry in entries]
            self.assertEqual(sorted(set(names)), sorted(names), group)


def add_entry_point_tests():
    """Add a test for each entry point, so that a failure names the missing one."""
    for group, entries in entry_points().items():
        check = TestEntryPoints.check_commands if group == 'console_scripts' else TestEntryPoints.check_plugin
        for entry in entries:
            name = f'test_{group}_{entry.name}'.replace('.', '_').replace('-', '_')
            setattr(TestEntryPoints, name, lambda self, check=check, entry=entry: check(self, entry))


add_entry_point_tests()


class TestTree(testtools.TestCase):
    def test_only_trio2o_is_a_package(self):
        packages = setuptools.find_packages(str(TOP), exclude=['build', 'build.*', 'doc', 'doc.*'])
        self.assertEqual({'trio2o'}, {name.split('.')[0] for name in packages})

    def test_cmd_is_no_package(self):
        """With an __init__.py there, `import cmd` finds it and the library's pdb breaks."""
        self.assertFalse((TOP / 'cmd' / '__init__.py').exists())

    def test_launchers_call_a_command(self):
        targets = {entry.module for entry in entry_points()['console_scripts']}
        for launcher in (TOP / 'cmd').glob('*.py'):
            imported = [
                node.module for node in ast.parse(launcher.read_text()).body if isinstance(node, ast.ImportFrom)
            ]
            self.assertEqual(1, len(imported), launcher.name)
            self.assertIn(imported[0], targets, launcher.name)

    def test_each_folder_of_modules_is_a_package(self):
        bare = {
            str(file.parent.relative_to(TOP))
            for file in PACKAGE.rglob('*.py')
            if not (file.parent / '__init__.py').exists() and 'versions' not in file.parts
        }
        self.assertEqual(set(), bare)
