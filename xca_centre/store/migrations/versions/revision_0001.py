# SPDX-License-Identifier: Apache-2.0
"""The whole schema.

Until the first release this makes what store.tables says, whatever that is: no database is older than it.
With the first release it is frozen: its body is then what `alembic.autogenerate.produce_migrations` and
`render_python_code` say for an empty database, and whoever changes tables.py afterwards adds revision 0002.
"""

from alembic import op

from xca_centre.store.tables import METADATA

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    METADATA.create_all(op.get_bind())
