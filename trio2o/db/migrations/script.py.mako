# SPDX-License-Identifier: Apache-2.0
"""${message}

Revision: ${up_revision}, after ${down_revision | comma,n}. Revisions only go up.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
#: 'expand': the release before does not notice. 'contract': it must no longer run. See doc: Upgrading.
phase = 'expand'


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
