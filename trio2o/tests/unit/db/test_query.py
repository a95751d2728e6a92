# SPDX-License-Identifier: Apache-2.0
"""Comparisons of a column with a collection of values."""

import sqlalchemy
import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from trio2o.db.query import Among, among

WORDS = sqlalchemy.Table('words', sqlalchemy.MetaData(), sqlalchemy.Column('word', sqlalchemy.String(8)))
STORED = ['', 'a', 'b', 'c', 'd', 'e', 'f', 'g']


class TestAmong(testtools.TestCase):
    def setUp(self):
        super().setUp()
        engine = sqlalchemy.create_engine('sqlite://')
        self.addCleanup(engine.dispose)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        WORDS.create(self.connection)
        self.connection.execute(sqlalchemy.insert(WORDS), [{'word': word} for word in STORED])

    @settings(max_examples=50)
    @given(st.sets(st.sampled_from([*STORED, 'x', 'y'])))
    def test_rows_with_one_of_the_values_are_selected(self, values):
        wanted = Among('word', values)
        statement = sqlalchemy.select(WORDS.c.word).where(among(WORDS.c.word, wanted.name, wanted.size))
        self.assertEqual(values & set(STORED), set(self.connection.scalars(statement, wanted.params)))

    def test_few_numbers_of_values_need_one_statement(self):
        sizes = {Among('word', {str(at) for at in range(count)}).size for count in range(1000)}
        self.assertEqual({0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}, sizes)
