"""What PostgreSQL reports, as a StoreError: what happened, and what to do next.

Only SQLSTATE and libpq's own words on a failed connection are used. Neither holds a password, and no statement or
value is ever quoted.
"""

from __future__ import annotations

import psycopg

from hsm_app.errors import StoreError

REPLACE = "Do not repair it: replace this replica's store"
_START = "Start the replica again when the server answers; no vote was lost"
LOST = ("the connection to the server was lost", _START)
DAMAGED = ("it is damaged", REPLACE)
_OTHER = ("the database failed", "Look at the server's log; if it goes on, replace this replica's store")
_NO_ROOM = "Make room on the server, then start the replica again; no vote was lost"
_RIGHTS = "Let the replica's user own its schema, or let it create one (GRANT CREATE ON DATABASE)"

# SQLSTATE, or its first two signs (the class) -> what happened, and what to do.
_CAUSES = {
    "53100": ("the server's disk is full", _NO_ROOM),
    "53200": ("the server is out of memory", _START),
    "53300": ("the server has no connection left", "Raise max_connections, or end what uses them up"),
    "58030": ("the server's disk failed", "Check the server's disk; no vote was lost"),
    "25006": ("it is read-only", "Name the primary server, not a standby"),
    "42501": ("access is denied", _RIGHTS),
    "55P03": ("another session holds its tables locked", "End that session, then start the replica again"),
    "57": LOST,
    "08": LOST,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}


def refused(place: object, why: str, todo: str) -> StoreError:
    """Return the error that says why the store at `place` cannot be used."""
    return StoreError(f"the store in {place} cannot be used: {why}", todo)


def translated(place: object, error: psycopg.Error, *, is_connected: bool) -> StoreError:
    """Return the StoreError for what psycopg raised on a connection that is up, or is not any more.

    Only the server gives a SQLSTATE: an operational error without one is libpq's, on a connection that fails, also
    while libpq still takes the connection for good (a pipe that broke while it was sending).
    """
    state = error.sqlstate or ""
    is_connected = is_connected and not (error.sqlstate is None and isinstance(error, psycopg.OperationalError))
    cause = _CAUSES.get(state) or _CAUSES.get(state[:2])
    if cause is None and is_connected and "File too large" in str(error):  # EFBIG has no SQLSTATE of its own
        cause = ("the server may not make its files longer", _NO_ROOM)
    return refused(place, *(cause or (_OTHER if is_connected else LOST)))


def unconnected(place: object, error: psycopg.Error) -> StoreError:
    """Return the StoreError for a connection that did not come up, with libpq's reason."""
    lines = str(error).strip().splitlines() or ["no reason was given"]
    return refused(
        place,
        f"no connection ({lines[0].strip()})",
        "Check that the server runs, and the postgres settings: host, port, database, user and password",
    )
