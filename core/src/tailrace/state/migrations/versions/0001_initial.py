"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        *_named("accounts"),
        sa.Column("destination", sa.String(128), nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
    )
    op.create_table(
        "connections",
        *_named("connections"),
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_connections_account_id"),
    )
    op.create_index("ix_connections_account_id", "connections", ["account_id"])
    op.create_table(
        "activations",
        *_named("activations"),
        sa.Column("connection_id", sa.String(36), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("segments", sa.JSON, nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("memberships", sa.String(16), nullable=False),
        sa.Column("identities", sa.JSON, nullable=True),
        sa.Column("include_segment_names", sa.Boolean, nullable=False),
        sa.Column("include_segment_timestamps", sa.Boolean, nullable=False),
        sa.Column("keep_extra_fields", sa.Boolean, nullable=False),
        sa.Column("format", sa.String(64), nullable=False),
        sa.Column("format_version", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connections.id"], name="fk_activations_connection_id"),
    )
    op.create_index("ix_activations_connection_id", "activations", ["connection_id"])
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("activation_id", sa.String(36), nullable=False),
        sa.Column("activation", sa.String(63), nullable=False),
        sa.Column("activation_version", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("exit_code", sa.Integer, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ledger", sa.JSON, nullable=False),
        sa.Column("sources", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_runs_activation_id", "runs", ["activation_id"])
    op.create_table(
        "sources",
        sa.Column("activation_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["activation_id"], ["activations.id"], name="fk_sources_activation_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("activation_id", "number", name="pk_sources"),
        sa.UniqueConstraint("activation_id", "identity", name="uq_sources_activation_id_identity"),
    )


def _named(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("name", name=f"uq_{table}_name"),
    ]
