"""Runs a FastAPI application as `python -m app` runs the service: one process, a free port, told in its output."""

import socket

import uvicorn
from fastapi import FastAPI


def listen(app: FastAPI) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, access_log=False, server_header=False, log_level="warning")).run([listener])
