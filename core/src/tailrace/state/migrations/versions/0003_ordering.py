"""The ordering of an activation. Those that are there promised none, and keep that."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "activations",
        sa.Column("ordering", sa.String(8), nullable=False, server_default=sa.text("'none'")),
    )
