# SPDX-License-Identifier: Apache-2.0
"""The page of operations in the documentation is what the rows say."""

import importlib.util
import pathlib

import testtools

TOOL = pathlib.Path(__file__).parents[4] / 'tools' / 'operations_table.py'


class TestOperationsTable(testtools.TestCase):
    def setUp(self):
        super().setUp()
        spec = importlib.util.spec_from_file_location('operations_table', TOOL)
        self.tool = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.tool)
        self.book = self.tool.VOLUME

    def test_page_is_up_to_date(self):
        page = self.tool.page(self.book)
        self.assertEqual(
            self.tool.VOLUME_PAGE.read_text(), page, 'run tools/operations_table.py and look at what changes'
        )

    def test_notes_are_of_rows(self):
        self.assertEqual(set(), self.book.notes.keys() - {row.name for row in self.book.service.operations})
