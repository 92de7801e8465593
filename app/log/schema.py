"""The table of the request log as the latest migration leaves it, and what the service says of a request."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, DateTime, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()
requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("time", DateTime, nullable=False, comment="arrival, UTC"),
    Column("request_id", String(128), nullable=False),
    Column("route", String(200), nullable=False),
    Column("status", Integer, nullable=False),
    Column("latency_ms", Float, nullable=False, comment="from arrival to the last byte of the answer"),
    Column("queue_ms", Float, nullable=False, comment="of that, waiting for the model"),
    Column("tokens_in", Integer, nullable=False),
    Column("tokens_out", Integer, nullable=False),
    Column("model", String(100), nullable=False),
    Column("request_body", Text),
    Column("response_body", Text),
    Column("row_key", String(64), comment="who wrote the row, and which of its rows it is: written twice, it is one"),
    Index("requests_by_time", "time"),
    Index("requests_by_request_id", "request_id"),
    Index("requests_by_row_key", "row_key", unique=True),
)


class Entry(NamedTuple):
    """What is known of an answered request; `time` is its arrival in UTC, bodies are as they were sent."""

    time: datetime
    request_id: str
    route: str
    status: int
    latency_ms: float
    queue_ms: float
    tokens_in: int
    tokens_out: int
    model: str
    request_body: bytes | bytearray
    response_body: bytes | bytearray
