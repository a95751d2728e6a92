# SPDX-License-Identifier: Apache-2.0
"""The folder of each test.

- ``unit/`` mirrors ``trio2o/``: the tests of ``trio2o/a/b.py`` are in ``unit/a/test_b.py`` or
  ``unit/a/test_b_<part>.py``. Tests in ``unit/`` itself are about a module of the root, or about a rule of the tree
  (``TREE``).
- ``functional/`` has a folder for each API, and for each subject that several of them share (``FOLDERS``).
- ``real/`` has a module for each scenario on unmodified services, in two folders that run side by side, each with pods
  of its own (``REAL_FOLDERS``).
- What two test modules share is in a ``base.py`` or in ``fixtures/``: a test module never imports another.
"""

import ast
import pathlib
import re

import testtools

TESTS = pathlib.Path(__file__).resolve().parents[1]
PRODUCT = TESTS.parent
TOOLS = PRODUCT.parent / 'tools'

#: Tests in ``unit/`` that are about the tree and not about one module.
TREE = {
    'backends',
    'commits',
    'docs',
    'examples',
    'layers',
    'operations_pages',
    'packaging',
    'requirements',
    'shell',
    'tests_tree',
    'tox',
    'words',
    'zuul',
}

#: Folder of ``functional/`` -> what its tests are about.
FOLDERS = {
    'admin_api': 'the Admin API',
    'compute': 'the Compute API, beyond what all rows have in common',
    'dashboard': 'the dashboard, also in a browser',
    'faults': 'pods, Keystone or the database that fail, and bad input',
    'jobs': 'the worker and its jobs',
    'move_groups': 'applications, drains and rebalancing',
    'moves': 'servers and volumes move to other pods',
    'monitoring': 'metrics, health, request ids',
    'operations': 'rows of the operation tables, and the handlers that serve them',
    'osc': 'the commands of the openstack client',
    'packaging': 'wheels and sample files',
    'processes': 'commands, signals, several hosts',
    'quota': 'the quota over all pods',
    'regressions': 'one module for each bug that was fixed',
    'replication': 'objects that are the same in every pod',
    'scheduling': 'the choice of a pod, bindings, states of pods',
    'sdk': 'the service of openstacksdk',
    'upgrade': 'migrations of the database',
    'volume': 'the Block Storage API, beyond what all rows have in common',
}


#: Folder of ``real/`` -> what its tests are about.
REAL_FOLDERS = {
    'api': 'requests of tenants and operators',
    'guides': 'pages that tests follow, DevStack, Tempest, pods that come and go',
}


def test_modules(folder):
    return sorted((TESTS / folder).rglob('test_*.py'))


def names_of(folder):
    """The modules and packages in a folder of the product."""
    found = {path.stem for path in folder.glob('*.py')} | {path.parent.name for path in folder.glob('*/__init__.py')}
    # The table of a service is in its package.
    return found | ({'operations'} if folder.parent == PRODUCT and folder.name.endswith('_apigw') else set())


def alternatives(pattern):
    """``a(b|c)d`` is the patterns ``abd`` and ``acd``."""
    before, group, after = re.fullmatch(r'(.*)\((.*)\)(.*)', pattern).groups()
    return [before + choice + after for choice in group.split('|')]


class Ids:
    """The ids of tests, as stestr writes them, read from the sources: a test may be inherited from another class."""

    def __init__(self):
        self._classes = {}
        self._modules = set()
        self._generated = set()
        for path in sorted(TESTS.rglob('*.py')):
            module = '.'.join(('trio2o', *path.relative_to(PRODUCT).with_suffix('').parts))
            source = path.read_text()
            # Tests that a module adds to a class have no definition.
            self._generated.update((module, name) for name in re.findall(r'setattr\((\w+), name,', source))
            for node in ast.parse(source).body:
                if isinstance(node, ast.ClassDef):
                    self._classes[module, node.name] = node
                elif isinstance(node, ast.ImportFrom):
                    self._modules.update((module, alias.name, node.module) for alias in node.names)

    def has(self, name):
        module, class_name, test = name.rsplit('.', 2)
        return (module, class_name) in self._generated or test in self._tests(module, class_name)

    def _tests(self, module, class_name):
        node = self._classes.get((module, class_name))
        if node is None:
            return set()
        found = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        for base in node.bases:
            *package, base_name = ast.unparse(base).split('.')
            for here, imported, there in self._modules:
                if here == module and imported == (package[0] if package else base_name):
                    found |= self._tests(f'{there}.{imported}' if package else there, base_name)
            if not package:
                found |= self._tests(module, base_name)
        return found


class TestTree(testtools.TestCase):
    def test_unit_mirrors_the_product(self):
        wrong = []
        for path in test_modules('unit'):
            where = path.parent.relative_to(TESTS / 'unit')
            name = path.stem.removeprefix('test_')
            known = names_of(PRODUCT / where) | (TREE if where == pathlib.Path() else set())
            if not any(name == module or name.startswith(f'{module}_') for module in known):
                wrong.append(str(path.relative_to(TESTS)))
        self.assertEqual([], wrong, 'Tests of no module of this place:')

    def test_functional_has_known_folders(self):
        found = {path.parent.relative_to(TESTS / 'functional').parts for path in test_modules('functional')}
        self.assertEqual(set(), found - {(folder,) for folder in FOLDERS})
        self.assertEqual(set(), set(FOLDERS) - {folder for (folder,) in found} - {'sdk'})

    def test_real_has_known_folders(self):
        found = {path.parent.relative_to(TESTS / 'real').parts for path in test_modules('real')}
        self.assertEqual({(folder,) for folder in REAL_FOLDERS}, found)

    def test_tests_have_names_of_their_own(self):
        names = {}
        for path in test_modules('functional'):
            names.setdefault(path.stem, []).append(path.parent.name)
        shared = {'test_bad_input', 'test_bindings', 'test_jobs', 'test_pods', 'test_adoption', 'test_infra'}
        self.assertEqual({}, {name: where for name, where in names.items() if len(where) > 1 and name not in shared})

    def test_no_test_module_imports_another(self):
        wrong = []
        for path in sorted(TESTS.rglob('*.py')):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.ImportFrom) or not (node.module or '').startswith('trio2o.tests.'):
                    continue
                for name in (node.module, *(f'{node.module}.{alias.name}' for alias in node.names)):
                    if name.rsplit('.', 1)[-1].startswith('test_'):
                        wrong.append(f'{path.relative_to(TESTS)} imports {name}')
        self.assertEqual([], wrong)

    def test_sleeps_have_a_reason(self):
        """Tests wait for a condition with ``fixtures/waiting.py``; a comment says why one sleeps for a fixed time."""
        wrong = []
        for path in sorted(TESTS.rglob('*.py')):
            lines = ['', *path.read_text().splitlines()]
            for number, line in enumerate(lines):
                is_sleep = re.match(r' *time\.sleep\(', line) and path.name != 'waiting.py'
                if is_sleep and '#' not in line and '#' not in lines[number - 1]:
                    wrong.append(f'{path.relative_to(TESTS)}:{number}')
        self.assertEqual([], wrong)


class TestTools(testtools.TestCase):
    """``tools/`` names tests: a name that nothing has selects nothing, and no run says so."""

    def test_each_alternative_of_the_slice_selects_a_module(self):
        (pattern,) = re.findall(r"functional-slice\)\n.*\n.*SELECTED=\('(.*)'\)", (TOOLS / 'test').read_text())
        names = [
            '.'.join(('trio2o', *path.relative_to(PRODUCT).with_suffix('').parts))
            for path in test_modules('functional')
        ]
        found = alternatives(pattern)
        self.assertLess(1, len(found))
        self.assertEqual([], [one for one in found if not any(re.search(one, f'{name}.') for name in names)])

    def test_listed_durations_are_of_existing_tests(self):
        ids = Ids()
        lines = (TOOLS / 'test-times.txt').read_text().splitlines()
        names = [line.split(maxsplit=1)[1] for line in lines if not line.startswith('#')]
        # Most classes for another database are made from those for SQLite.
        missing = [
            name for name in names if not ids.has(name) and not ids.has(re.sub(r'On(Mysql|Postgres)\.', '.', name))
        ]
        self.assertEqual([], missing)
