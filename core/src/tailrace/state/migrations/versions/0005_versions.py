"""The version of an update, which stale updates are refused, and how an envelope names the profile.
Activations that exist have no version, refuse nothing, and tell no profile by its name."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for column in (
        sa.Column("version_attribute", sa.Text, nullable=True),
        sa.Column("refuse_stale", sa.String(16), nullable=False, server_default=sa.text("'none'")),
        sa.Column("subject", sa.String(8), nullable=False, server_default=sa.text("'hashed'")),
    ):
        op.add_column("activations", column)
