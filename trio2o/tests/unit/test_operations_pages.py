# SPDX-License-Identifier: Apache-2.0
"""The pages of operations cover all rows, and their notes are about rows that exist."""

import importlib.util
import pathlib

import testtools

EXTENSION = pathlib.Path(__file__).parents[3] / 'doc' / 'source' / '_extensions' / 'operations.py'


class TestOperationsPages(testtools.TestCase):
    def setUp(self):
        super().setUp()
        spec = importlib.util.spec_from_file_location('operations', EXTENSION)
        self.extension = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.extension)

    def test_each_row_has_a_section(self):
        for page in self.extension.PAGES.values():
            found = {self.extension.section_of(row, page) for row in page.service.operations}
            self.assertEqual(set(page.sections), found)

    def test_notes_name_existing_rows(self):
        for page in self.extension.PAGES.values():
            self.assertEqual(set(), page.notes.keys() - {row.name for row in page.service.operations})
