# SPDX-License-Identifier: Apache-2.0
"""The files that hold the bytes of real pods."""

import hashlib
import os

import fixtures
import testtools

from trio2o.lab.disks import SIZE, Disk, Folder


class TestFolder(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'disks')
        self.folder = Folder(self.path)

    def test_files_are_written_read_and_deleted(self):
        self.assertEqual([], list(self.folder))
        self.folder['one'] = b'1'
        self.folder['one'] = b'2'
        self.assertEqual({'one': b'2'}, dict(Folder(self.path)))
        self.assertEqual(b'2', self.folder.pop('one'))
        self.assertRaises(KeyError, lambda: self.folder['one'])
        self.assertRaises(KeyError, self.folder.pop, 'one')
        self.assertEqual([], os.listdir(self.path))

    def test_file_that_is_not_complete_is_not_listed(self):
        self.folder['one'] = b'1'
        with open(self.folder.path('two') + '.new', 'wb'):
            pass
        self.assertEqual((['one'], 1, False), (list(self.folder), len(self.folder), 'two' in self.folder))

    def test_blank_disks_are_distinct_and_stay_as_they_are(self):
        data = Disk(self.folder, 'one').read()
        self.assertEqual(SIZE, len(data))
        self.assertNotEqual(data, Disk(self.folder, 'two').read())
        Disk(Folder(self.path), 'one').write(b'+')
        self.assertEqual(hashlib.sha512(data + b'+').hexdigest(), Disk(self.folder, 'one').checksum())
