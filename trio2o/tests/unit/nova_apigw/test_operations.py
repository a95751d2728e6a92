# SPDX-License-Identifier: Apache-2.0
"""Compare the rows of the Nova API-GW with the operations of the Compute API."""

import pathlib

import testtools
import yaml

import trio2o.tests
from trio2o.gateway.handlers.create import Create
from trio2o.gateway.handlers.forward import Forward
from trio2o.gateway.handlers.list import List
from trio2o.gateway.handlers.offset_list import OffsetList
from trio2o.gateway.handlers.quota_sets import LimitsRead, QuotaRead
from trio2o.gateway.handlers.replicate import ReplicatedRead, ReplicatedWrite
from trio2o.gateway.handlers.sum import Sum
from trio2o.nova_apigw import SERVICE
from trio2o.nova_apigw.internal_calls import ForwardToVolume
from trio2o.nova_apigw.removed_apis import Removed
from trio2o.nova_apigw.servers.actions import ForwardToHost
from trio2o.nova_apigw.usage import TenantUsage

FILE = pathlib.Path(trio2o.tests.__file__).parent / 'data' / 'nova-operations.yaml'
#: Rows for unknown actions, one for each path with actions: a pod refuses them with Nova's message.
FALLBACK = '.action'
#: Pages that are served without a row.
PAGES = {'root.versions': '/', 'root.version_v21': '/v2.1', 'root.version_v2': '/v2', 'versions.redirect': ''}

#: Class of operations -> its handlers. Other classes have handlers of their own.
HANDLERS = {
    'by_id': (Forward, ForwardToVolume),
    'cross_pod_check': (Forward,),
    'create': (Create,),
    'fanout_list': (List, OffsetList),
    'fanout_sum': (Sum, LimitsRead, QuotaRead, TenantUsage),
    'replicated': (ReplicatedRead, ReplicatedWrite, QuotaRead),
}


def number(text):
    return None if text in (None, '2.1') else tuple(map(int, text.split('.')))


class TestOperations(testtools.TestCase):
    def setUp(self):
        super().setUp()
        known = yaml.safe_load(FILE.read_text())
        self.known = {name: row for name, row in known.items() if row[0] != 'page'}
        self.pages = {name: row for name, row in known.items() if row[0] == 'page'}
        self.rows = {operation.name: operation for operation in SERVICE.operations}

    def test_each_operation_has_a_row(self):
        self.assertEqual(set(), self.known.keys() - self.rows.keys())

    def test_each_row_is_an_operation_or_refuses_unknown_actions(self):
        acting = {row[2]: name.partition(FALLBACK)[0] for name, row in self.known.items() if row[5]}
        fallbacks = {f'{noun}{FALLBACK}' for noun in acting.values()}
        self.assertEqual(fallbacks, self.rows.keys() - self.known.keys())

    def test_rows_have_method_path_versions_and_action_of_operation(self):
        wanted, have = {}, {}
        for name, (_class, method, path, first, last, action, _status) in self.known.items():
            wanted[name] = (method, path, action, number(first), number(last))
            row = self.rows[name]
            have[name] = (row.method, row.path, row.action, row.min_version, row.max_version)
        self.assertEqual(wanted, have)

    def test_rows_have_handler_of_their_class(self):
        for name, (kind, *_rest) in self.known.items():
            if kind in HANDLERS:
                with self.subTest(name=name):
                    self.assertIsInstance(self.rows[name].handler, HANDLERS[kind])

    def test_rows_that_name_a_second_resource_check_it(self):
        """Other rows do not, so that the class describes the handler."""
        checking = set()
        for name, row in self.rows.items():
            handler = row.handler
            is_checked = isinstance(handler, Forward) and (
                handler.other is not None or type(handler).same_pod_refs is not Forward.same_pod_refs
            )
            if name in self.known and (is_checked or isinstance(handler, ForwardToHost)):
                checking.add(name)
        self.assertEqual({name for name, row in self.known.items() if row[0] == 'cross_pod_check'}, checking)

    def test_removed_operations_have_their_status(self):
        gone = {name: row[6] for name, row in self.known.items() if row[0] == 'gone'}
        said = {row.name: row.handler.status for row in SERVICE.operations if isinstance(row.handler, Removed)}
        self.assertEqual(gone, said)

    def test_version_pages_are_served(self):
        self.assertEqual({*PAGES, 'root.choices'}, set(self.pages))
        for path in PAGES.values():
            self.assertIn(path, SERVICE.pages)
        self.assertIsNotNone(SERVICE.other_paths)
