"""Two Ray nodes of one core each, as processes of this machine, and the processes that Ray runs on them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from ray.cluster_utils import Cluster

NODES = 2
STORE_BYTES = 100 * 2**20
"""Memory of a node for objects that its processes share; those here are small."""


@dataclass(frozen=True)
class Worker:
    """A process that Ray runs, and the process of its node."""

    process: psutil.Process
    node: int


@contextmanager
def two_nodes() -> Iterator[str]:
    """Runs a cluster until the end of the block; yields its address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        for _ in range(NODES - 1):
            cluster.add_node(**node)
        yield cluster.address
    finally:
        cluster.shutdown()


def workers(name: str) -> list[Worker]:
    """The processes in which `name` runs, as Ray titles them."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            title = process.cmdline()
        except psutil.Error:  # it has just ended
            continue
        if title and title[0].startswith("ray::") and name in title[0]:
            found.append(Worker(process, process.ppid()))
    return found
