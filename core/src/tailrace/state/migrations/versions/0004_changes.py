"""Which updates an activation exports. One without order, which changes need, goes on with every
update; the others export changes from now on."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TRIGGERS = """'["segments", "identities", "attributes"]'"""


def upgrade() -> None:
    for column in (
        sa.Column("every_update", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("triggers", sa.JSON, nullable=False, server_default=sa.text(TRIGGERS)),
        sa.Column("requalification", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("profile_key", sa.Text, nullable=True),
    ):
        op.add_column("activations", column)
    op.execute("UPDATE activations SET every_update = (ordering = 'none')")
