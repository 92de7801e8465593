"""A port for servers that want to be told one; they are waited for by what they print."""

import socket


def announced_port() -> int:
    """A free port, told as `benchmarks.servers` waits for it; the server listens on it soon after."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    return port
