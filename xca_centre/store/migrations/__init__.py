# SPDX-License-Identifier: Apache-2.0
"""The migrations of the database, for Alembic; store.schema runs them."""
