# SPDX-License-Identifier: Apache-2.0
"""Compare the rows of the Cinder API-GW with the operations of the Block Storage API."""

import pathlib

import testtools
import yaml

import trio2o.tests
from trio2o.cinder_apigw import SERVICE
from trio2o.gateway.handlers.create import Create
from trio2o.gateway.handlers.forward import Forward, ForwardToAny
from trio2o.gateway.handlers.list import List
from trio2o.gateway.handlers.quota_sets import LimitsRead, QuotaRead
from trio2o.gateway.handlers.replicate import ReplicatedRead, ReplicatedWrite
from trio2o.gateway.handlers.sum import Sum
from trio2o.web.microversion import Version

DATA = pathlib.Path(trio2o.tests.__file__).parent / 'data' / 'cinder-operations.yaml'

#: Class of operations -> its handlers. Other classes have handlers of their own.
HANDLERS = {
    'by_id': (Forward,),
    'cross_pod_check': (Forward,),
    'create': (Create,),
    'fanout_list': (List,),
    'fanout_sum': (Sum, LimitsRead),
    'replicated': (ReplicatedRead, ReplicatedWrite, QuotaRead),
}
#: Operation with another handler -> the reason.
OTHERWISE = {
    'volume_transfers.accept': 'it is in another project until it is accepted',
    'os_volume_transfer.accept': 'it is in another project until it is accepted',
}


def facts():
    rows = yaml.safe_load(DATA.read_text())
    return {name: row for name, row in rows.items() if row[0] != 'page'}


def version(text):
    return None if text in (None, '3.0') else tuple(Version.parse(text))


class TestRows(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.rows = {operation.name: operation for operation in SERVICE.operations}

    def test_each_operation_has_a_row(self):
        self.assertEqual([], sorted(set(facts()) - set(self.rows)))

    def test_each_row_is_an_operation(self):
        """Except the rows that let a pod refuse an unknown action."""
        invented = set(self.rows) - set(facts())
        self.assertEqual(
            [], sorted(name for name in invented if not isinstance(self.rows[name].handler, ForwardToAny))
        )

    def test_rows_have_method_path_versions_and_action_of_operation(self):
        for name, (_kind, method, path, first, last, action) in facts().items():
            with self.subTest(name=name):
                row = self.rows[name]
                wanted = ('GET' if method == '*' else method, path, version(first), version(last), action)
                self.assertEqual(wanted, (row.method, row.path, row.min_version, row.max_version, row.action))

    def test_rows_have_handler_of_their_class(self):
        for name, (kind, *_rest) in facts().items():
            if kind in HANDLERS and name not in OTHERWISE:
                with self.subTest(name=name):
                    self.assertIsInstance(self.rows[name].handler, HANDLERS[kind])

    def test_rows_that_name_a_second_resource_check_it(self):
        for name, (kind, *_rest) in facts().items():
            if kind == 'cross_pod_check':
                with self.subTest(name=name):
                    handler = self.rows[name].handler
                    is_overridden = type(handler).same_pod_refs is not Forward.same_pod_refs
                    self.assertTrue(handler.other is not None or is_overridden)

    def test_version_pages_are_served(self):
        pages = [row for row in yaml.safe_load(DATA.read_text()).values() if row[0] == 'page']
        self.assertEqual({'/', '/healthcheck'}, {row[2] for row in pages})
        self.assertIn('/', SERVICE.pages)
