"""What a run sent, and whether an activation keeps what its members' exits need. No run before was
anything but an export."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    kind = sa.Column("kind", sa.String(16), nullable=False, server_default=sa.text("'export'"))
    op.add_column("runs", kind)
    op.add_column("activations", sa.Column("exits", sa.Boolean, nullable=False, server_default=sa.false()))
