"""The schema, for making a database. SQLAlchemy Core only: the ORM is never imported. Rows are read
and written without it (`tailrace.state.database`).

A change here needs a migration in `migrations/versions`, its revision in `revision.REVISIONS` and, for
JSON, a boolean or a time, the column in `columns.KINDS`. Tests compare all of these.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

TIME = DateTime(timezone=True)
"""In UTC; SQLite, which knows no time zone, holds it without one."""

TRIGGERS = """'["segments", "identities", "attributes"]'"""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

# The stored revision of the schema lies where Alembic looks for it, so there is one truth.
revision = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("destination", String(128), nullable=False),
    Column("description", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
)

connections = Table(
    "connections",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("account_id", String(36), ForeignKey("accounts.id"), nullable=False, index=True),
    Column("description", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
)

activations = Table(
    "activations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("connection_id", String(36), ForeignKey("connections.id"), nullable=False, index=True),
    Column("enabled", Boolean, nullable=False),
    Column("description", Text, nullable=False),
    Column("segments", JSON, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("memberships", String(16), nullable=False),
    Column("identities", JSON, nullable=True),
    Column("include_segment_names", Boolean, nullable=False),
    Column("include_segment_timestamps", Boolean, nullable=False),
    Column("keep_extra_fields", Boolean, nullable=False),
    Column("format", String(64), nullable=False),
    Column("format_version", String(32), nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("ordering", String(8), nullable=False, server_default=text("'none'")),
    # The counter of `sources.number`; raising it locks the row, so no number is given twice.
    Column("source_count", Integer, nullable=False, server_default=text("0")),
    Column("every_update", Boolean, nullable=False, server_default=false()),
    Column("triggers", JSON, nullable=False, server_default=text(TRIGGERS)),
    Column("requalification", Boolean, nullable=False, server_default=false()),
    Column("profile_key", Text, nullable=True),
    Column("version_attribute", Text, nullable=True),
    Column("refuse_stale", String(16), nullable=False, server_default=text("'none'")),
    Column("subject", String(8), nullable=False, server_default=text("'hashed'")),
    Column("exits", Boolean, nullable=False, server_default=false()),
)

# A run outlives its activation, so it refers to it by value and keeps its name.
runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("activation_id", String(36), nullable=False, index=True),
    Column("activation", String(63), nullable=False),
    Column("activation_version", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("exit_code", Integer, nullable=True),
    Column("error", Text, nullable=True),
    Column("started_at", TIME, nullable=False),
    Column("ended_at", TIME, nullable=True),
    Column("ledger", JSON, nullable=False),
    Column("sources", JSON, nullable=False),
    Column("kind", String(16), nullable=False, server_default=text("'export'")),
    sqlite_autoincrement=True,
)

sources = Table(
    "sources",
    metadata,
    Column("activation_id", String(36), ForeignKey("activations.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("identity", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", TIME, nullable=False),
    UniqueConstraint("activation_id", "identity"),
)

# The home that holds what is remembered of an activation; see `tailrace.state.holders`.
holders = Table(
    "holders",
    metadata,
    Column("activation_id", String(36), ForeignKey("activations.id", ondelete="CASCADE"), primary_key=True),
    Column("home", String(36), nullable=False),
    Column("path", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("created_at", TIME, nullable=False),
)
