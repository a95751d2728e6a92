# SPDX-License-Identifier: Apache-2.0
"""The operation table: each path finds its row, and other paths find none."""

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o import cinder_apigw, exception, nova_apigw
from trio2o.web.operations import Operation, OperationTable, actions

SERVICES = (nova_apigw.SERVICE, cinder_apigw.SERVICE)
#: Possible segments of a path, after decoding.
segments = st.text(
    st.characters(blacklist_characters='/', blacklist_categories=('Cs',)), min_size=1, max_size=40
).filter(lambda text: text not in FIXED)
FIXED = {segment for service in SERVICES for operation in service.operations for segment in operation.path.split('/')}


def handler(call):
    raise AssertionError('not to be called')


def row(name, method='GET', path='/things', action=None, **kwargs):
    return Operation(name, method, path, handler, action, **kwargs)


def never():
    raise AssertionError('the body is not to be read')


class TestRows(testtools.TestCase):
    """All rows of both gateways."""

    @given(st.data())
    def test_random_ids_match_their_row(self, data):
        service = data.draw(st.sampled_from(SERVICES))
        operation = data.draw(st.sampled_from(list(service.operations)))
        path, wanted = [], {}
        for segment in operation.path.split('/')[1:]:
            if segment.startswith('{'):
                wanted[segment[1:-1]] = data.draw(segments)
                path.append(wanted[segment[1:-1]])
            else:
                path.append(segment)
        found, params = service.operations.match(operation.method, '/' + '/'.join(path), lambda: operation.action)
        self.assertEqual((operation.name, wanted), (found.name, params))

    def test_each_path_matches_its_row(self):
        for service in SERVICES:
            for operation in service.operations:
                path = operation.path.replace('{', '').replace('}', '-1')
                found, params = service.operations.match(
                    operation.method, path, lambda action=operation.action: action
                )
                self.assertIs(operation, found)
                self.assertEqual(len(params), operation.path.count('{'))
                self.assertRaises(
                    exception.RouteNotFound, service.operations.match, operation.method, path + '/', lambda: None
                )

    def test_body_is_read_only_for_actions(self):
        for service in SERVICES:
            for operation in service.operations:
                if operation.method in ('GET', 'DELETE'):
                    service.operations.match(operation.method, operation.path.replace('{', '').replace('}', ''), never)

    def test_unknown_action_has_a_row(self):
        """A pod refuses them with the message of the service."""
        for service in SERVICES:
            paths = {operation.path for operation in service.operations if operation.action}
            for path in paths:
                for action in ('nonsense', None, ''):
                    found, _params = service.operations.match(
                        'POST', path.replace('{', '').replace('}', ''), lambda action=action: action
                    )
                    self.assertIsNone(found.action)

    def test_names_and_versions_of_rows_are_valid(self):
        for service in SERVICES:
            for operation in service.operations:
                self.assertRegex(operation.name, r'^[a-z0-9_]+\.[A-Za-z0-9_.-]+$')
                for version in (operation.min_version, operation.max_version):
                    if version is not None:
                        self.assertTrue(service.code_versions.min <= version <= service.code_versions.max)

    def test_paths_do_not_begin_like_a_project_id(self):
        for service in SERVICES:
            for operation in service.operations:
                first = operation.path.split('/')[1]
                self.assertNotRegex(first or 'x', r'^[0-9a-f-]+$')


class TestMatching(testtools.TestCase):
    def match(self, table, method, path, action=None):
        try:
            operation, params = table.match(method, path, lambda: action)
        except exception.RouteNotFound:
            return None
        return operation.name, params

    def test_fixed_segment_takes_precedence(self):
        table = OperationTable([row('show', path='/things/{id}'), row('detail', path='/things/detail')])
        self.assertEqual(('detail', {}), self.match(table, 'GET', '/things/detail'))
        self.assertEqual(('show', {'id': 'detail2'}), self.match(table, 'GET', '/things/detail2'))

    def test_search_returns_from_fixed_segment(self):
        table = OperationTable(
            [
                row('below', path='/things/detail/x'),
                row('show', path='/things/{id}'),
                row('delete', 'DELETE', '/things/{id}'),
                row('part', path='/things/{id}/y'),
                row('detail', path='/things/detail'),
            ]
        )
        self.assertEqual(('delete', {'id': 'detail'}), self.match(table, 'DELETE', '/things/detail'))
        self.assertEqual(('part', {'id': 'detail'}), self.match(table, 'GET', '/things/detail/y'))
        self.assertEqual(('below', {}), self.match(table, 'GET', '/things/detail/x'))

    def test_ids_of_abandoned_branch_are_dropped(self):
        table = OperationTable([row('one', path='/things/detail/{x}/y'), row('two', path='/things/{id}/{b}/z')])
        self.assertEqual(('two', {'id': 'detail', 'b': 'q'}), self.match(table, 'GET', '/things/detail/q/z'))

    def test_other_paths_and_methods_do_not_match(self):
        table = OperationTable([row('list'), row('show', path='/things/{id}')])
        for method, path in (
            ('GET', '/things/'),
            ('GET', '/thing'),
            ('GET', '/things/a/b'),
            ('GET', '/things//'),
            ('GET', '/'),
            ('GET', ''),
            ('POST', '/things'),
            ('get', '/things'),
            ('GET', '//things'),
            ('GET', '/Things'),
        ):
            self.assertIsNone(self.match(table, method, path), (method, path))

    def test_ids_are_returned_unchanged(self):
        table = OperationTable([row('show', path='/things/{id}')])
        for id_ in ('a.json', '%2F', '..', ' ', 'é', '\x00', 'x' * 5000, '{id}'):
            self.assertEqual(('show', {'id': id_}), self.match(table, 'GET', f'/things/{id_}'))

    def test_actions_are_matched_by_name(self):
        table = OperationTable([*actions('act', '/things/{id}/action', handler, 'start', 'stop'), row('list')])
        self.assertEqual(('act.start', {'id': '1'}), self.match(table, 'POST', '/things/1/action', 'start'))
        for action in (None, '', 'pause'):
            self.assertIsNone(self.match(table, 'POST', '/things/1/action', action))

    def test_conflicting_rows_are_refused(self):
        for rows in (
            [row('one'), row('two')],
            [row('one'), row('one', 'POST')],
            [row('one', path='/things/{id}'), row('two', path='/things/{name}')],
            [row('one', 'POST', action='x'), row('two', 'POST', action='x')],
        ):
            self.assertRaises(ValueError, OperationTable, rows)
        OperationTable([row('one', 'POST', action='x'), row('two', 'POST', action='y'), row('three', 'POST')])

    def test_rows_may_name_ids_differently(self):
        table = OperationTable([row('show', path='/things/{id}'), row('part', path='/things/{thing_id}/parts/{id}')])
        self.assertEqual(('part', {'thing_id': 'a', 'id': 'b'}), self.match(table, 'GET', '/things/a/parts/b'))

    def test_methods_of_path_are_listed(self):
        table = OperationTable([row('list'), row('create', 'POST'), row('show', path='/things/{id}')])
        self.assertEqual(['GET', 'POST'], table.methods_at('/things'))
        self.assertEqual([], table.methods_at('/nothing'))

    def test_row_exists_in_its_versions(self):
        operation = row('one', min_version=(2, 10), max_version=(2, 20))
        for version, exists in ((None, True), ((2, 9), False), ((2, 10), True), ((2, 20), True), ((2, 21), False)):
            self.assertEqual(exists, operation.exists_at(version))
