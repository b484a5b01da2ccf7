"""Which home holds the state of an activation. Its next export records it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "holders",
        sa.Column("activation_id", sa.String(36), nullable=False),
        sa.Column("home", sa.String(36), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["activation_id"], ["activations.id"], name="fk_holders_activation_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("activation_id", name="pk_holders"),
    )
