"""The address of the log's database, and what to say of one that cannot be used."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.errors import StartupError

ADVICE = "set DATABASE_URL to a database that can be, such as sqlite:////var/lib/review-lm/requests.sqlite3."
FOR_POSTGRES = {"connect_timeout": "5", "tcp_user_timeout": "10000", "client_encoding": "utf8"}
"""After how many seconds, and milliseconds, libpq takes a PostgreSQL that says nothing for lost; and how text is sent.

A database that was made with SQL_ASCII keeps any bytes, and would hand them out as bytes.
"""


def parsed(url: str) -> URL:
    """The address as SQLAlchemy takes it, with the driver of this service; raises StartupError if it cannot be used."""
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise StartupError(f"DATABASE_URL is not a database address ({reason(error)}); {ADVICE}") from None
    if address.drivername in {"postgresql", "postgres"}:
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername == "postgresql+psycopg":
        return address.update_query_dict({**FOR_POSTGRES, **address.query})
    if not is_sqlite(address):
        raise StartupError(f"The request log is written to SQLite or PostgreSQL, not to {address.drivername}; {ADVICE}")
    if address.database in {None, "", ":memory:"}:
        raise StartupError(f"A request log in memory would be lost; {ADVICE}")
    return address


def reason(error: BaseException) -> str:
    """What went wrong, in a line."""
    if isinstance(error, ImportError):
        return f"{error}; pip install 'review-lm[postgres]' brings what PostgreSQL needs"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}"
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__


def is_sqlite(url: URL) -> bool:
    return url.drivername in {"sqlite", "sqlite+pysqlite"}
