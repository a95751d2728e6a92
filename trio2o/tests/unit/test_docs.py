# SPDX-License-Identifier: Apache-2.0
"""The documentation names existing options, commands and files, and names all that operators look for."""

import configparser
import pathlib
import re

import testtools
from oslo_db import options as db_options

from trio2o.conf import opts
from trio2o.tests.fixtures.pages import DOCS, missing, steps

CHECKOUT = DOCS.parents[1]
#: Options of libraries, in groups of Trio2o.
OPTIONS_OF_LIBRARIES = {('DEFAULT', 'transport_url'), ('DEFAULT', 'log_dir')}


def pages():
    return sorted(DOCS.rglob('*.rst'))


def entry_points():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CHECKOUT / 'setup.cfg')
    return {
        group: [line.split('=')[0].strip() for line in lines.strip().splitlines()]
        for group, lines in parser['entry_points'].items()
    }


class TestNames(testtools.TestCase):
    def test_named_options_exist(self):
        known = {}
        for group, options in (*opts.list_opts(), *db_options.list_opts()):
            known.setdefault(str(group or 'DEFAULT'), set()).update(option.dest for option in options)
        wrong = []
        for path in pages():
            for group, option in re.findall(r'``\[(\w+)\] (\w+)\b', ' '.join(path.read_text().split())):
                if group in known and option not in known[group] and (group, option) not in OPTIONS_OF_LIBRARIES:
                    wrong.append(f'{path.name}: [{group}] {option}')
        self.assertEqual([], wrong)

    def test_named_commands_exist(self):
        known = {name.removeprefix('trio2o_').replace('_', ' ') for name in entry_points()['openstack.trio2o.v1']}
        wrong = []
        for path in pages():
            text = ' '.join(path.read_text().split())
            for command in re.findall(r'openstack trio2o ([a-z]+ (?:group )?[a-z]+)', text):
                if command not in known:
                    wrong.append(f'{path.name}: {command}')
        self.assertEqual([], wrong)

    def test_named_programs_exist(self):
        known = set(entry_points()['console_scripts'])
        wrong = [
            f'{path.name}: {name}'
            for path in pages()
            for name in re.findall(r'^ +\$ (trio2o-[\w-]+)', path.read_text(), re.MULTILINE)
            if name not in known
        ]
        self.assertEqual([], wrong)

    def test_named_files_exist(self):
        """Files of the checkout that a page names."""
        wrong = []
        for path in pages():
            for name in re.findall(r'``((?:etc|tools|specs|devstack)/[\w./-]+)``', path.read_text()):
                if not (CHECKOUT / name).exists():
                    wrong.append(f'{path.name}: {name}')
        self.assertEqual([], wrong)


class TestContributorPages(testtools.TestCase):
    PAGES = DOCS / 'contributor'

    def test_named_modules_exist(self):
        packages = '|'.join(path.name for path in (CHECKOUT / 'trio2o').iterdir() if path.is_dir())
        roots = (CHECKOUT / 'trio2o', CHECKOUT / 'trio2o' / 'tests')
        wrong = [
            f'{page.name}: {name}'
            for page in self.PAGES.glob('*.rst')
            for name in re.findall(rf'``((?:{packages}|functional|unit|real)/[\w/]+\.py)``', page.read_text())
            if not any((root / name).exists() for root in roots)
        ]
        self.assertEqual([], wrong)


class TestCompleteness(testtools.TestCase):
    def require(self, names, page):
        text = (DOCS / page).read_text()
        self.assertEqual([], [name for name in names if f'``{name}``' not in text])

    def test_page_of_jobs_names_each_job(self):
        self.require(entry_points()['trio2o.jobs'], 'admin/jobs.rst')

    def test_page_of_scheduling_names_each_filter(self):
        self.require(entry_points()['trio2o.scheduler.filters'], 'admin/scheduling.rst')

    def test_page_of_scheduling_names_each_weigher(self):
        self.require(entry_points()['trio2o.scheduler.weighers'], 'admin/scheduling.rst')

    def test_options_that_choose_plugins_list_them(self):
        helps = {(group, option.dest): option.help for group, options in opts.list_opts() for option in options}
        for option, plugins in (
            (('scheduler', 'filters'), 'trio2o.scheduler.filters'),
            (('scheduler', 'weighers'), 'trio2o.scheduler.weighers'),
            (('quota', 'driver'), 'trio2o.quota.drivers'),
        ):
            listed = [name for name in entry_points()[plugins] if f'* ``{name}``: ' in helps[option]]
            self.assertEqual(entry_points()[plugins], listed, option)

    def test_architecture_names_each_decision(self):
        found = [f'specs/{path.name}' for path in (CHECKOUT / 'specs').glob('*.rst') if path.name != 'README.rst']
        self.require(found, 'architecture/index.rst')

    def test_decisions_have_sections_and_name_existing_tests(self):
        for path in (CHECKOUT / 'specs').glob('*.rst'):
            text = path.read_text()
            if path.name == 'README.rst':
                continue
            for section in ('Problem', 'Decision', 'Why', 'Left out', 'How it is checked'):
                self.assertIn(f'\n{section}\n---', text, path.name)
            named = re.findall(r'``((?:unit|functional|real)/[\w/]+(?:\.py)?)', text)
            wrong = [name for name in named if not (CHECKOUT / 'trio2o' / 'tests' / name).exists()]
            self.assertEqual([], wrong, path.name)


class TestPages(testtools.TestCase):
    """The reader of pages whose commands tests run."""

    PAGE = """\
Title
=====

.. test: stop Pod2

.. test: fails

.. code-block:: console

   $ one \\
       --more
   | 3f1c... | said |
   $ two

Text.

.. test: file a.conf

.. code-block:: ini

   [a]
   b = c

.. code-block:: console

   $ three
"""

    def test_steps_of_page_are_read(self):
        meanwhile, one, two, file, three = steps(self.PAGE)
        self.assertEqual(('meanwhile', 'stop Pod2'), (meanwhile.kind, meanwhile.words))
        self.assertEqual(('one --more', ['| 3f1c... | said |']), (one.words, one.shown))
        self.assertEqual(({'fails'}, {'fails'}, set()), (one.marks, two.marks, three.marks))
        self.assertEqual(('file', 'a.conf'), (file.kind, file.words))
        self.assertEqual(['[a]', 'b = c'], [line for line in file.shown if line])

    def test_missing_line_of_output_is_found(self):
        printed = '+---+\n| 416dcec549ff44a28c413fb46fc6979f |   said  |\nthe end (3 s)\n'
        self.assertIsNone(missing(['| 3f1c... | said |', 'the end (...)'], printed))
        self.assertEqual('| 3f1c... | said |', missing(['the end', '| 3f1c... | said |'], printed))
        self.assertEqual('| abcd... | told |', missing(['| abcd... | told |'], printed))


class TestPaths(testtools.TestCase):
    def test_pages_have_no_paths_of_authors(self):
        """No page contains a path of the author's machine."""
        found = [path.name for path in pages() if re.search(r'/(work|root|home/\w+)/', path.read_text())]
        found += [path.name for path in pathlib.Path(CHECKOUT, 'specs').glob('*.rst') if '/work/' in path.read_text()]
        self.assertEqual([], found)
