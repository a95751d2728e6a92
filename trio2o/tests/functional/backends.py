# SPDX-License-Identifier: Apache-2.0
"""The tests that run on both concurrency backends, and a check that they are enough.

All tests run on eventlet. On native threads run the classes that ``on_both`` names: those that start processes or
threads, open sockets or measure time, which the imports that they use show, and a slice of the others. While tests
run, ``record`` records each place of the product that starts threads, waits or sleeps. ``compare`` fails if only tests
on one backend pass such a place: a class is missing in the slice.

    python -m trio2o.tests.functional.backends list            the classes, as regular expressions for stestr
    python -m trio2o.tests.functional.backends compare FOLDER
"""

import ast
import atexit
import json
import os
import pathlib
import sys
import threading
import time
import unittest
from concurrent import futures

from trio2o import concurrency

HERE = pathlib.Path(__file__).parent
BACKENDS = ('eventlet', 'threading')

#: Imports of classes that depend on the backend.
DEPENDS = {
    'concurrent',
    'socket',
    'threading',
    'trio2o.concurrency',
    'trio2o.lab.emulated.faults.Blackhole',
    'trio2o.lab.emulated.faults.Hang',
    'trio2o.lab.emulated.faults.Slow',
    'trio2o.lab.emulated.server',
    'trio2o.tests.fixtures.launch',
}

#: The slice: modules or classes of each kind, and those that pass places which no other class passes.
SLICE = {
    'admin_api.test_draining.TestDrain',
    'compute.test_aggregates.TestAggregates',
    'compute.test_infrastructure.TestServices',
    'compute.test_lists_and_sums',
    'operations.test_creates.TestNextCandidate',
    'operations.test_lists.TestServerFilters',
    'jobs.test_empty_project',
    'jobs.test_reconcile.TestEndpoints',
    'replication.test_flavors.TestOlderPods',
    'replication.test_volume_types',
    'monitoring.test_metrics',
    'dashboard.test_dashboard.TestBehindProxy',
    'dashboard.test_dashboard.TestBehindTls',
    'dashboard.test_dashboard.TestPages',
    'quota.test_claims.TestServersWithCount',
    'quota.test_limits_of_pods.TestRaiseLimitsJob',
    'scheduling.test_reschedule.TestNoValidHost',
    'volume.test_dead_pod',
    'volume.test_infra.TestServices',
    'regressions.test_routing_of_another_pod',
    'replication.test_keypairs',
    'replication.test_same_everywhere.TestQos',
    'replication.test_concurrent_writes',
    'jobs.test_missing_resources.TestFullComparison',
    'faults.test_killed_processes',
}

#: Modules that choose their backends themselves, or do not depend on them.
ONCE = {
    'admin_api.test_schemathesis',
    'processes.test_ha',
    'processes.test_start_errors',
    'jobs.test_thousand_jobs',
    'upgrade.test_migrations',
    'upgrade.test_upgrade',
    'dashboard.test_browser',
    'quota.test_load',
    'monitoring.test_catalog_status',
    'monitoring.test_pods_status',
    'packaging.test_package',
    'packaging.test_samples',
}

#: Number of callers that identify a place, because several functions may call one helper.
_FRAMES = 3

#: Waits only when another process happens to write to SQLite at the same moment.
_BY_CHANCE = ('trio2o.db.database',)


def modules():
    """{name below this package: path} of the modules with tests."""
    found = {}
    for path in sorted(HERE.rglob('test_*.py')):
        found['.'.join(path.relative_to(HERE).with_suffix('').parts)] = path
    return found


def classes(path):
    """{name of each class with tests in a module: whether it depends on the backend, by an import that it uses}.

    A class also uses what the definitions of the module use that it names.
    """
    tree = ast.parse(path.read_text())
    found = {name: _names(node) for node in tree.body for name in _defined(node)}
    imported = _imports(tree)
    for used in found.values():
        new = set(used)
        while new:
            more = set().union(*(found.get(each, ()) for each in new)) - used
            used |= more
            new = more
    return {
        name: bool(DEPENDS & used.union(*(imported.get(each, ()) for each in used)))
        for name, used in found.items()
        if name.startswith('Test')
    }


def _defined(node):
    """The names that a statement of a module defines."""
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []


def _names(node):
    """The names that a definition uses, and the full names of the faults among them."""
    names = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            names.add(each.id)
        elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == 'faults':
            names.add(f'trio2o.lab.emulated.faults.{each.attr}')
        elif isinstance(each, ast.Import | ast.ImportFrom):
            names.update(*_imports(each).values())
    return names


def _imports(node):
    """{name: full names of what the imports bind to it, and of the packages that is in}."""
    found: dict[str, set[str]] = {}
    for each in ast.walk(node):
        prefix = f'{each.module}.' if isinstance(each, ast.ImportFrom) else ''
        for alias in each.names if isinstance(each, ast.Import | ast.ImportFrom) else ():
            name = alias.asname or (alias.name if prefix else alias.name.partition('.')[0])
            words = f'{prefix}{alias.name}'.split('.')
            found.setdefault(name, set()).update('.'.join(words[:end]) for end in range(1, len(words) + 1))
    return found


def on_both():
    """Names of the classes that run on both backends, such as ``jobs.test_service.TestService``."""
    found = []
    for module, path in modules().items():
        for name, depends in classes(path).items() if module not in ONCE else ():
            if depends or {module, f'{module}.{name}'} & SLICE:
                found.append(f'{module}.{name}')
    return sorted(found)


# -- recording --


def record(folder):
    """Note from now on which places of the product use the backend, in a file in the folder."""
    places: dict[str, str] = {}
    for owner, name in (
        (concurrency.Executor, 'submit'),
        (concurrency, 'listen'),
        (concurrency.Signals, '__init__'),
        (concurrency.WSGIServer, '__init__'),
        (threading.Thread, 'start'),
        (threading.Event, 'wait'),
        (threading.Condition, 'wait'),
        (futures, 'wait'),
        (time, 'sleep'),
    ):
        setattr(owner, name, _noting(getattr(owner, name), places))
    path = pathlib.Path(folder) / concurrency.backend() / f'{os.getpid()}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    atexit.register(lambda: path.write_text(json.dumps(places)))


def _noting(function, places):
    def noting(*args, **kwargs):
        place = _place(sys._getframe(1))
        if place and place not in places:
            places[place] = _test(sys._getframe(1))
        return function(*args, **kwargs)

    return noting


def _place(frame):
    """The innermost functions of the product, or None if the caller is not the product."""
    found: list[str] = []
    module = frame.f_globals.get('__name__', '')
    if not _is_product(module) or module in _BY_CHANCE:
        return None
    while frame is not None and len(found) < _FRAMES:
        module = frame.f_globals.get('__name__', '')
        function = f'{module}:{frame.f_code.co_qualname.partition(".<locals>")[0]}'
        if _is_product(module) and function not in found:
            found.append(function)
        frame = frame.f_back
    return ' < '.join(found)


def _is_product(module):
    return module.startswith('trio2o.') and not module.startswith(('trio2o.tests.', 'trio2o.lab.', 'trio2o.osc.'))


def _test(frame):
    """The id of the running test; empty in a thread."""
    while frame is not None:
        case = frame.f_locals.get('self')
        if isinstance(case, unittest.TestCase):
            return case.id()
        frame = frame.f_back
    return ''


def recorded(folder, backend):
    """{place: a test that passes it} of all processes."""
    found: dict[str, str] = {}
    for path in sorted((pathlib.Path(folder) / backend).glob('*.json')):
        for place, test in json.loads(path.read_text()).items():
            found[place] = found.get(place) or test
    return found


def compare(folder):
    """Print the places that were passed on one backend only. :returns: the exit status"""
    first, second = (recorded(folder, backend) for backend in BACKENDS)
    for place in sorted(set(first) - set(second)):
        print(f'on {BACKENDS[0]} alone: {place}  ({first[place] or "in a thread"})')
    print(f'{len(first)} places use the backend, {len(set(first) & set(second))} of them on both')
    return int(not first or bool(set(first) - set(second)))


def main(argv):
    if argv[0] == 'list':
        print('\n'.join(rf'^trio2o\.tests\.functional\.{name.replace(".", chr(92) + ".")}\.' for name in on_both()))
        return 0
    return compare(argv[1])


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
