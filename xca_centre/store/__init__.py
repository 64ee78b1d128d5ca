# SPDX-License-Identifier: Apache-2.0
"""What the centre remembers: a database, its tables, the chain of events and the queue of jobs."""
