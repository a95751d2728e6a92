# SPDX-License-Identifier: Apache-2.0
"""The layers of the program. The tests read each import with ast.

Imports point downward only, modules of one layer leave each other alone, and what ties the program
to a library has one importer. A new rule is a line in one of the tables; a new module at the root
of trio2o/ needs a place in LAYERS.
"""

import ast
import dataclasses
import functools
import pathlib
import re

import testtools

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = 'trio2o'

# Lowest first. A module may import modules of the layers before its own. A module of a package that needs a layer
# of its own is named with its path.
LAYERS = (
    {'compat'},
    {'http_headers'},
    {
        'context',
        'exception',
        'conf',
        'concurrency',
        'job_types',
        'rpc',
        'gc_tuning',
        'metrics',
        'resources',
        'version',
    },
    {'db', 'web'},
    {'pods'},
    {'scheduler', 'quota', 'jobqueue', 'metrics/database', 'dashboard'},
    {'routing', 'replication'},
    # Settling a claim uses the inventory of a pod in routing, which uses the rest of quota.
    {'quota/settle'},
    {'gateway'},
    {'runtime'},
    {'moves'},
    {'nova_apigw', 'cinder_apigw', 'api', 'xjob'},
    {'wsgi', 'cmd'},
)

# Exceptions for modules of one layer: (importer, imported): reason.
NEIGHBOURS = {
    ('conf', 'version'): 'oslo.config prints the version for --version',
    ('conf', 'concurrency'): 'the names of the backends are the choices of an option',
}

# Programs outside the services: they import only themselves from trio2o, and nothing
# imports them.
OUTSIDE = {'lab', 'osc', 'sdk', 'tempestplugin'}

# What one of them may import of another: (importer, imported).
OUTSIDE_IMPORTS = {('osc', 'sdk')}

# Library -> where it may be imported. `lab` and the other outsiders are free.
IMPORTERS = {
    'pecan': ('web/dispatch.py', 'dashboard/'),
    'webob': ('web/', 'dashboard/'),
    'eventlet': ('concurrency.py',),
    'greenlet': ('concurrency.py',),
    # Its options are registered in conf, like all options.
    'keystoneauth1': ('pods/', 'conf/credentials.py', 'conf/service_auth.py', 'compat.py'),
    'novaclient': ('pods/',),
    'cinderclient': ('pods/',),
    'keystoneclient': (),
    'requests': ('pods/',),
    'urllib3': ('pods/',),
    'sqlalchemy': ('db/',),
    'alembic': ('db/',),
    'oslo_messaging': ('rpc.py', 'xjob/'),
    'prometheus_client': ('metrics/',),
    'jinja2': ('dashboard/',),
}

# Where -> what it must not import, beyond the layers. (json in db/table.py is a type of column.)
FORBIDDEN = {
    'db/': ('orjson', 'jsonschema', 'http', 'keystonemiddleware'),
    'gateway/lists/merge.py': ('time', 'socket', 'threading'),
    'gateway/translate.py': ('time', 'socket', 'threading'),
    'replication/reconcile.py': ('time', 'socket', 'threading'),
}

# Where a surprise may be caught whole: the fault wrapper, the job runner and its loops, the fan-out.
CATCH_ALL = ('web/middleware/fault_wrapper.py', 'xjob/manager.py', 'xjob/service.py', 'pods/fanout.py')

OPTION_CLASS = re.compile(r'^\w*Opt$')
SERVICE_NAME = re.compile(r'nova|cinder', re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Import:
    """One imported module, and where it is imported."""

    path: str
    line: int
    module: str

    @property
    def part(self):
        """The root module or package of trio2o that the importing file belongs to."""
        return part_of(self.path)

    @property
    def target(self):
        """The root module or package of trio2o that is imported, or None for anything else."""
        names = self.module.split('.')
        return part_of('/'.join(names[1:])) if names[0] == PACKAGE and len(names) > 1 else None

    @property
    def library(self):
        return self.module.split('.')[0]

    def __str__(self):
        return f'{self.path}:{self.line} imports {self.module}'


def part_of(path):
    """The module with a layer of its own that a path belongs to, or else its root module or package."""
    path = path.removesuffix('.py')
    return path if layer(path) is not None else path.split('/')[0]


@functools.cache
def sources():
    """Parse every module outside tests: path relative to trio2o/ -> tree."""
    return {
        str(file.relative_to(ROOT)): ast.parse(file.read_text(), str(file))
        for file in sorted(ROOT.rglob('*.py'))
        if file.relative_to(ROOT).parts[0] not in {'tests', '__init__.py'}
    }


def package_of(path):
    return (PACKAGE, *pathlib.PurePath(path).parts[:-1])


def exists(module):
    path = ROOT.joinpath(*module.split('.')[1:])
    return path.is_dir() or path.with_suffix('.py').is_file()


def imported_modules(node, path):
    """Name the modules an import statement brings in, in full."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ''
    if node.level:
        package = package_of(path)
        base = '.'.join([*package[: len(package) - node.level + 1], *filter(None, [base])])
    if base.split('.')[0] != PACKAGE:
        return [base]
    # `from trio2o.db import pods` names a module, `from trio2o.db.pods import get` a function.
    return [f'{base}.{alias.name}' if exists(f'{base}.{alias.name}') else base for alias in node.names]


@functools.cache
def imports():
    return [
        Import(path, node.lineno, module)
        for path, tree in sources().items()
        for node in running(tree)
        for module in imported_modules(node, path)
    ]


def running(tree):
    """Walk the tree without what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == 'TYPE_CHECKING':
            continue
        yield node
        yield from running(node)


def layer(part):
    return next((level for level, parts in enumerate(LAYERS) if part in parts), None)


def is_within(path, places):
    return any(path == place or (place.endswith('/') and path.startswith(place)) for place in places)


def docstrings(tree):
    """The string constants that are docstrings, and so free to name anything."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }


class TestLayers(testtools.TestCase):
    def assertNone(self, wrong, rule):
        found = [str(item) for item in wrong]
        self.assertEqual([], found, f'{rule}\n' + '\n'.join(found))

    def test_each_root_module_has_a_layer(self):
        known = set.union(OUTSIDE, *LAYERS)
        wrong = {part_of(path) for path in sources()} - known
        self.assertNone(sorted(wrong), 'Modules that stand in no layer:')

    def test_imports_point_downward(self):
        wrong = [
            item
            for item in imports()
            if None not in (layer(item.part), layer(item.target)) and layer(item.target) > layer(item.part)
        ]
        self.assertNone(wrong, 'Imports that point upward:')

    def test_modules_of_one_layer_do_not_import_each_other(self):
        wrong = [
            item
            for item in imports()
            if item.target not in (None, item.part)
            and layer(item.part) is not None
            and layer(item.target) == layer(item.part)
            and (item.part, item.target) not in NEIGHBOURS
        ]
        self.assertNone(wrong, 'Imports between modules of one layer:')

    def test_outside_programs_import_nothing_of_trio2o(self):
        wrong = [
            item
            for item in imports()
            if item.part in OUTSIDE
            and item.target not in (None, item.part)
            and (item.part, item.target) not in OUTSIDE_IMPORTS
        ]
        self.assertNone(wrong, 'The world outside imports the program:')

    def test_services_do_not_import_outside_programs_or_tests(self):
        wrong = [item for item in imports() if item.target in OUTSIDE | {'tests'} and item.part not in OUTSIDE]
        self.assertNone(wrong, 'The program imports what only tests may:')

    def test_libraries_have_one_importer(self):
        wrong = [
            item
            for item in imports()
            if item.library in IMPORTERS
            and item.part not in OUTSIDE
            and not is_within(item.path, IMPORTERS[item.library])
        ]
        self.assertNone(wrong, 'Libraries imported outside their one place:')

    def test_forbidden_libraries_are_not_imported(self):
        wrong = [
            item
            for place, libraries in FORBIDDEN.items()
            for item in imports()
            if is_within(item.path, [place]) and item.library in libraries
        ]
        self.assertNone(wrong, 'Imports the place must do without:')

    def test_options_are_defined_in_conf(self):
        wrong = [
            f'{path}:{node.lineno} makes an option with {node.func.attr}'
            for path, tree in sources().items()
            if part_of(path) not in OUTSIDE | {'conf'}
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == 'cfg'
            and OPTION_CLASS.match(node.func.attr)
        ]
        self.assertNone(wrong, 'Options made outside trio2o/conf:')

    def test_gateway_names_no_service(self):
        wrong = []
        for path, tree in sources().items():
            if part_of(path) != 'gateway':
                continue
            free = docstrings(tree)
            for node in ast.walk(tree):
                names = [getattr(node, field, None) for field in ('id', 'attr', 'name', 'arg')]
                if isinstance(node, ast.Constant) and id(node) not in free:
                    names.append(node.value)
                wrong += [
                    f'{path}:{node.lineno} names {name!r}'
                    for name in names
                    if isinstance(name, str) and SERVICE_NAME.search(name)
                ]
        self.assertNone(wrong, 'The handlers know of no service:')

    def test_all_exceptions_are_caught_in_few_places_only(self):
        wrong = [
            f'{path}:{node.lineno} catches everything'
            for path, tree in sources().items()
            if part_of(path) not in OUTSIDE and not is_within(path, CATCH_ALL)
            for node in ast.walk(tree)
            if isinstance(node, ast.ExceptHandler)
            and (
                node.type is None
                or any(
                    isinstance(name, ast.Name) and name.id in ('Exception', 'BaseException')
                    for name in ast.walk(node.type)
                )
            )
        ]
        self.assertNone(wrong, 'Only the fault wrapper, the job runner, its loops and the fan-out catch everything:')


class TestImportedModules(testtools.TestCase):
    """The function that reads imports for the rules above."""

    def names(self, statement, path='gateway/lists/cursor.py'):
        return imported_modules(ast.parse(statement).body[0], path)

    def test_absolute_import_is_read(self):
        self.assertEqual(['trio2o.db.pods'], self.names('import trio2o.db.pods'))
        self.assertEqual(['sqlalchemy.orm'], self.names('from sqlalchemy.orm import Session'))

    def test_relative_import_is_read(self):
        self.assertEqual(['trio2o.gateway.lists.merge'], self.names('from .merge import merge_pages'))
        self.assertEqual(['trio2o.tests'], self.names('from ... import tests'))

    def test_module_imported_with_from_is_read(self):
        self.assertEqual(['trio2o.tests.unit'], self.names('from trio2o.tests import unit'))
        self.assertEqual(['trio2o.version'], self.names('from trio2o.version import PACKAGE'))
