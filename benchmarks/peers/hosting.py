"""What servers want to be told: a port, which they are waited for by, and how many cores there are."""

import os
import socket

CORES = os.cpu_count() or 1


def announced_port() -> int:
    """A free port, told as `benchmarks.servers` waits for it; the server listens on it soon after."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    return port
