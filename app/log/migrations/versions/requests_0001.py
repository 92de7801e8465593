"""The table as it was before there were migrations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("time", sa.DateTime, nullable=False, comment="arrival, UTC"),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("route", sa.String(200), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("latency_ms", sa.Float, nullable=False, comment="from arrival to the last byte of the answer"),
        sa.Column("queue_ms", sa.Float, nullable=False, comment="of that, waiting for the model"),
        sa.Column("tokens_in", sa.Integer, nullable=False),
        sa.Column("tokens_out", sa.Integer, nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("request_body", sa.Text),
        sa.Column("response_body", sa.Text),
    )
    op.create_index("requests_by_time", "requests", ["time"])
