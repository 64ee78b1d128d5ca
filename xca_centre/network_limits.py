# SPDX-License-Identifier: Apache-2.0
"""How often something was done from a network, counted in the database: all workers share the count."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, select, tuple_, update

from xca_centre.errors import TooManyRequests
from xca_centre.store.database import Change, Database
from xca_centre.store.tables import NETWORK_COUNTS

WINDOW: Final = timedelta(hours=1)
"""For how long acts count, from the first one on."""


def number(connection: Connection, act: str, network: str, now: datetime) -> int:
    """Return how many acts there are in the window of a network. It takes no lock.

    Who has had his share is refused by it: what floods the centre keeps nobody else from writing.
    """
    table = NETWORK_COUNTS
    own = (table.c.act == act) & (table.c.network == network)
    in_window = (table.c.began > now - WINDOW) & (table.c.began <= now)
    found: int | None = connection.execute(select(table.c["count"]).where(own, in_window)).scalar()
    return found or 0


def count(change: Change, act: str, network: str) -> int:
    """Count an act, and return how many there are in the window of the network, this one included.

    Args:
        change: the change.
        act: what is done, such as `user_code`.
        network: as of user_codes.network_of.
    """
    table = NETWORK_COUNTS
    key = tuple_(table.c.act, table.c.network)
    # One that has not begun yet is of a clock that was put back.
    ended = (table.c.began <= change.now - WINDOW) | (table.c.began > change.now)
    old = select(table.c.act, table.c.network).where(ended).with_for_update(skip_locked=True)
    change.connection.execute(delete(table).where(key.in_(old)))
    counted = (
        change.insert(table)
        .values(act=act, network=network, began=change.now, count=1)
        .on_conflict_do_update(
            index_elements=[table.c.act, table.c.network], set_={"count": table.c["count"] + 1}
        )
        .returning(table.c["count"])
    )
    number: int = change.connection.execute(counted).scalar_one()
    return number


def limit(database: Database, act: str, network: str, most: int) -> None:
    """Count something that costs much, and refuse it to a network that does it too often.

    Args:
        database: of the centre.
        act: names what is counted.
        network: as of user_codes.network_of.
        most: how often a network may do it within the window; many offices share one.

    Raises:
        TooManyRequests: it had its share.
        StoreProblem: as of Database.
    """
    with database.read() as connection:
        done = number(connection, act, network, database.clock())
    if done <= most:
        with database.change() as change:
            done = count(change, act, network)
    if done > most:
        raise TooManyRequests(minutes=WINDOW // timedelta(minutes=1))


def give_back(change: Change, act: str, network: str) -> None:
    """Take back one act that was counted, if its window has not ended."""
    table = NETWORK_COUNTS
    own = (table.c.act == act) & (table.c.network == network) & (table.c["count"] > 0)
    change.connection.execute(update(table).where(own).values({"count": table.c["count"] - 1}))
