# SPDX-License-Identifier: Apache-2.0
"""The requirement files list exactly the libraries that trio2o/ imports."""

import ast
import configparser
import functools
import importlib.metadata
import pathlib
import sys

import testtools
from packaging import requirements, utils

PACKAGE = pathlib.Path(__file__).resolve().parents[2]
TOP = PACKAGE.parent

# Distribution -> why it is required though nothing in trio2o/ imports it.
NOT_IMPORTED = {
    'pbr': 'builds the package',
    'pymysql': 'the driver of mysql+pymysql:// connections',
    'tenacity': 'of the plug-in of the stock client, which is registered whether its extra is installed or not',
}

# Part of trio2o/ -> the extra of setup.cfg that holds what it needs besides requirements.txt.
# tempestplugin is loaded by tempest, so tempest is there.
EXTRAS = {'lab': 'lab', 'osc': 'osc'}
FREE = {'tests', 'tempestplugin'}


def parse(lines):
    """Read requirement lines: canonical name -> Requirement."""
    texts = [line.split(' #')[0].strip() for line in lines]
    found = [requirements.Requirement(text) for text in texts if text and text[0] not in '#-']
    return {utils.canonicalize_name(item.name): item for item in found}


def required(file='requirements.txt'):
    return parse((TOP / file).read_text().splitlines())


def extra(name):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(TOP / 'setup.cfg')
    return parse(parser['extras'][name].splitlines())


@functools.cache
def distributions():
    """Importable name -> canonical names of the installed distributions that provide it."""
    return {
        module: {utils.canonicalize_name(name) for name in names}
        for module, names in importlib.metadata.packages_distributions().items()
    }


def libraries(file):
    """Name the third-party packages a module imports at any depth."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.split('.')[0])
    return modules - sys.stdlib_module_names - {PACKAGE.name}


def imported(part=None):
    """Map what is imported to the first file that does: of the program, or of one outside part."""
    found = {}
    for file in sorted(PACKAGE.rglob('*.py')):
        top = file.relative_to(PACKAGE).parts[0]
        if (top == part) if part else (top not in FREE | EXTRAS.keys()):
            for library in libraries(file):
                found.setdefault(library, str(file.relative_to(TOP)))
    return found


def missing(found, *allowed):
    names = set().union(*allowed)
    return {library: file for library, file in found.items() if not distributions().get(library, set()) & names}


class TestRequirements(testtools.TestCase):
    def test_imported_libraries_are_required(self):
        self.assertEqual({}, missing(imported(), required()))

    def test_required_libraries_are_imported(self):
        provided = set().union(*(distributions().get(library, set()) for library in imported()))
        self.assertEqual(set(), required().keys() - provided - NOT_IMPORTED.keys())

    def test_extras_list_libraries_of_their_part(self):
        for part, name in EXTRAS.items():
            self.assertEqual({}, missing(imported(part), required(), extra(name)), f'[{name}]')

    def test_constraints_fit_requirements(self):
        """tools/demo cannot be installed if a constraint is below the lowest version of a requirement."""
        constraints = required('tools/constraints.txt')
        wanted = required() | required('test-requirements.txt') | required('doc/requirements.txt')
        for name in ('lab', 'osc', 'postgresql'):
            wanted |= extra(name)
        self.assertEqual(set(), wanted.keys() - constraints.keys())
        unfit = {
            str(requirement): str(constraints[name].specifier)
            for name, requirement in wanted.items()
            if not requirement.specifier.contains(next(iter(constraints[name].specifier)).version)
        }
        self.assertEqual({}, unfit)
