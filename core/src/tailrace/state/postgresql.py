"""PostgreSQL, through SQLAlchemy: imported only where a URL is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tailrace.errors import ConfigurationError
from tailrace.state.alchemy import in_our_words, translated
from tailrace.state.columns import Kind, convert
from tailrace.state.database import Transaction
from tailrace.state.hints import BUSY_SECONDS

_LOCK = 0x7461_696C_7261_6365  # "tailrace"


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)  # it comes in the time zone of the session


# The driver knows the rest itself, and reads JSON, but takes it as text.
_ENCODE: Mapping[Kind, Callable[[Any], object]] = {"json": json.dumps}
_DECODE: Mapping[Kind, Callable[[Any], object]] = {"time": _in_utc}


class PostgreSQL:
    """A server's database, and a pool of connections to it."""

    file = None

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # The default is a moment for each statement.
        self._steady = engine.execution_options(isolation_level="REPEATABLE READ")

    @classmethod
    def at(cls, url: str) -> PostgreSQL:
        """Raises ConfigurationError. The server is not called."""
        parsed = _parse(url)
        try:
            engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=True)
        except ModuleNotFoundError:
            raise ConfigurationError(
                "PostgreSQL needs a driver that is not installed",
                hint="pip install 'tailrace[postgresql]'",
            ) from None
        event.listen(engine, "connect", _limit_waiting)
        return cls(engine)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with translated(), self._steady.connect() as connection:
            yield _Transaction(connection)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        with translated(), self._engine.begin() as connection:
            yield _Transaction(connection)

    @contextmanager
    def alone(self) -> Iterator[None]:
        with translated(), self._engine.connect() as connection:
            # A migration may take long, and this waits for it.
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            # Belongs to this session: it is released when the connection goes, whatever happens.
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
                connection.commit()

    def alter(self) -> AbstractContextManager[Connection]:
        return self._engine.begin()

    def close(self) -> None:
        self._engine.dispose()


def _limit_waiting(connection: Any, record: object) -> None:
    """A session waits for the locks of others as long as SQLite does, and not for ever."""
    before, connection.autocommit = connection.autocommit, True  # else a rollback takes it back
    connection.execute(f"SET lock_timeout = {round(BUSY_SECONDS * 1000)}")
    connection.autocommit = before


class _Transaction:
    dialect: Literal["postgresql"] = "postgresql"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, /, **parameters: object) -> list[dict[str, Any]]:
        try:
            result = self._connection.execute(text(statement), convert(parameters, _ENCODE))
            found = result.mappings().all() if result.returns_rows else ()
            return [convert(row, _DECODE) for row in found]
        except SQLAlchemyError as error:
            failure = in_our_words(error)
        raise failure  # outside of the handler, so that it does not carry the server's answer, with values


def _parse(given: str) -> URL:
    url: URL | None
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        # The text may hold a password, so it is not repeated.
        raise ConfigurationError(
            "the database URL is not one of PostgreSQL",
            hint="write postgresql://USER@HOST/DATABASE, or leave it out to use SQLite in the home",
        )
    return url.set(drivername="postgresql+psycopg")
