# SPDX-License-Identifier: Apache-2.0
"""Run by alembic, from `trio2o.db.migration` and for `alembic revision` in a checkout."""

from alembic import context

from trio2o.db import records

connection = context.config.attributes.get('connection')
if connection is None:
    from trio2o import conf
    from trio2o.db.database import Database

    connection = Database(conf.new_config()).engine.connect()

# As SQLite cannot alter a column, alembic copies the whole table.
context.configure(connection=connection, target_metadata=records.METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
