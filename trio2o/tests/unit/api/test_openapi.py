# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document agrees with the rows, the schemas and the handlers."""

import inspect
import re

import jsonschema
import testtools

from trio2o import api
from trio2o.api import openapi
from trio2o.web.validation import Body, Query


class TestDocument(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.document = openapi.document(api.OPERATIONS, api.ACCEPTS, api.RETURNS, 'http://host')

    def test_document_has_each_row(self):
        found = {(method.upper(), path) for path, methods in self.document['paths'].items() for method in methods}
        self.assertEqual({(row.method, row.path) for row in api.OPERATIONS}, found)

    def test_accepts_names_existing_rows(self):
        self.assertEqual(set(), set(api.ACCEPTS) - {row.name for row in api.OPERATIONS})

    def test_each_row_has_schema_of_its_answer(self):
        self.assertEqual({row.name for row in api.OPERATIONS}, set(api.RETURNS))

    def test_accepted_schema_is_read_by_handler(self):
        for row in api.OPERATIONS:
            read = set(re.findall(r'schemas\.(\w+)\.read', inspect.getsource(row.handler)))
            module = inspect.getmodule(row.handler).schemas if read else None
            wanted = {id(getattr(module, name)) for name in read}
            accepted = api.ACCEPTS.get(row.name)
            self.assertEqual(wanted, {id(accepted)} - {id(None)}, row.name)

    def test_each_row_has_success_and_error_responses(self):
        for methods in self.document['paths'].values():
            for name, operation in methods.items():
                statuses = set(operation['responses'])
                self.assertTrue(statuses & {'200', '202'}, operation['operationId'])
                if '{' in operation['operationId'] or operation['parameters'][:1] == ['path']:
                    self.assertIn('404', statuses)
                self.assertIn('summary', operation, name)

    def test_schemas_are_valid_json_schemas(self):
        for part in api.ACCEPTS.values():
            if isinstance(part, Body):
                jsonschema.Draft202012Validator.check_schema(part.document)
            elif isinstance(part, Query):
                for schema in part.parameters.values():
                    jsonschema.Draft202012Validator.check_schema(schema)
