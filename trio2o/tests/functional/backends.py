# SPDX-License-Identifier: Apache-2.0
"""The tests that run on both concurrency backends, and a check that they are enough.

All tests run on eventlet. On native threads run the modules that ``on_both`` names: those that start processes or
threads, open sockets or measure time, which their imports show, and a slice of the others. While tests run,
``record`` records each place of the product that starts threads, waits or sleeps. ``compare`` fails if only tests on
one backend pass such a place: a module is missing in the slice.

    python -m trio2o.tests.functional.backends list            the modules, as regular expressions for stestr
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

#: Imports of modules that depend on the backend.
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

#: The slice: modules of each kind, and those that pass places which no other module passes.
SLICE = {
    'admin_api.test_draining',
    'compute.test_aggregates',
    'compute.test_infrastructure',
    'compute.test_lists_and_sums',
    'operations.test_creates',
    'operations.test_lists',
    'jobs.test_empty_project',
    'jobs.test_reconcile',
    'replication.test_volume_types',
    'monitoring.test_metrics',
    'dashboard.test_dashboard',
    'quota.test_claims',
    'quota.test_limits_of_pods',
    'scheduling.test_reschedule',
    'volume.test_dead_pod',
    'volume.test_infra',
    'regressions.test_routing_of_another_pod',
    'replication.test_keypairs',
    'replication.test_same_everywhere',
    'replication.test_concurrent_writes',
    'jobs.test_missing_resources',
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
_BY_CHANCE = ('trio2o.db.session',)


def modules():
    """{name below this package: path} of the modules with tests."""
    found = {}
    for path in sorted(HERE.rglob('test_*.py')):
        found['.'.join(path.relative_to(HERE).with_suffix('').parts)] = path
    return found


def imports(path):
    """Full names of what a module imports, and of the packages they are in."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f'{node.module}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == 'faults':
            names.add(f'trio2o.lab.emulated.faults.{node.attr}')
    parts = {name: name.split('.') for name in names}
    return {'.'.join(words[:end]) for words in parts.values() for end in range(1, len(words) + 1)}


def on_both():
    """Names of the modules that run on both backends."""
    depend = {name for name, path in modules().items() if imports(path) & DEPENDS}
    return sorted((depend | SLICE) - ONCE)


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
