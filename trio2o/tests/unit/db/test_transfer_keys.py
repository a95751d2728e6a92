# SPDX-License-Identifier: Apache-2.0
"""Keys of volume transfers."""

from datetime import timedelta

import sqlalchemy

from trio2o.db import transfer_keys
from trio2o.db.database import utcnow
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import DatabaseTest


@on_every_server
class TestTransferKeys(DatabaseTest):
    def test_key_is_compared_and_not_stored(self):
        transfer_keys.record(self.db, 't', 'first')
        transfer_keys.record(self.db, 't', 'k\u00e9y')
        self.assertEqual([True, False], [transfer_keys.is_right(self.db, 't', key) for key in ('k\u00e9y', 'first')])
        with self.db.reader() as connection:
            (row,) = connection.execute(sqlalchemy.text('SELECT * FROM transfer_keys'))
        self.assertNotIn('k\u00e9y', str(row))

    def test_key_of_old_transfer_is_not_known(self):
        transfer_keys.record(self.db, 'a', 'key')
        transfer_keys.record(self.db, 'b', 'key')
        self.assertEqual(0, transfer_keys.purge(self.db, utcnow() - timedelta(hours=1)))
        self.assertEqual(2, transfer_keys.purge(self.db, utcnow() + timedelta(hours=1)))
        self.assertEqual([None, None], [transfer_keys.is_right(self.db, each, 'key') for each in 'ab'])
