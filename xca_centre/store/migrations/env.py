# SPDX-License-Identifier: Apache-2.0
"""What Alembic runs for a migration: on the connection that store.schema gives, in its transaction."""

from alembic import context

from xca_centre.store.tables import METADATA

# SQLite cannot change a column: Alembic copies the table instead (batch).
context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True
)
context.run_migrations()
