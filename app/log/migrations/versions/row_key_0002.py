"""A key for each row, so that a batch that is written again after a lost acknowledgement adds nothing.

Rows from before have none: neither SQLite nor PostgreSQL counts those as equal. The index on the request's id is for
whoever looks one request up.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COMMENT = "who wrote the row, and which of its rows it is: written twice, it is one"


def upgrade() -> None:
    op.add_column("requests", sa.Column("row_key", sa.String(64), comment=COMMENT))
    op.create_index("requests_by_row_key", "requests", ["row_key"], unique=True)
    op.create_index("requests_by_request_id", "requests", ["request_id"])
