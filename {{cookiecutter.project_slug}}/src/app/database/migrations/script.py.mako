"""${message}."""

from collections.abc import Sequence
<% used = f"{upgrades} {downgrades}" %>\
% if "op." in used:

import sqlalchemy as sa
from alembic import op
% endif
${imports if imports else ""}
revision: str = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels: str | Sequence[str] | None = ${repr(branch_labels)}
depends_on: str | Sequence[str] | None = ${repr(depends_on)}


def upgrade() -> None:
    """To this revision."""
    ${upgrades if "op." in used else ""}


def downgrade() -> None:
    """Back to the one before."""
    ${downgrades if "op." in used else ""}
