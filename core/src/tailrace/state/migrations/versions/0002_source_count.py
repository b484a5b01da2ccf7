"""The counter of source numbers moves into the activation, where raising it is a lock."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "activations",
        sa.Column("source_count", sa.Integer, nullable=False, server_default=sa.text("0")),
    )
    op.execute(
        "UPDATE activations SET source_count = COALESCE("
        "(SELECT MAX(number) FROM sources WHERE sources.activation_id = activations.id), 0)"
    )
