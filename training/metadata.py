"""What a run was made with, written beside its checkpoint, so that it can be made again."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

RUN_FILE = "run.json"
LIBRARIES = ("torch", "numpy", "tokenizers", "pydantic", "pyarrow")


def write_metadata(run: Path, options: dict[str, Any], updates: int, processes: int) -> None:
    """Writes the run's options, and adds to its sessions the one that now begins after so many `updates`."""
    path = run / RUN_FILE
    before = json.loads(path.read_text())["sessions"] if updates and path.is_file() else []
    session = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "updates": updates,
        "processes": processes,
        "git": _git(),
        "libraries": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        "machine": machine(),
    }
    temporary = path.with_suffix(".writing")
    temporary.write_text(json.dumps({"options": options, "sessions": [*before, session]}, indent=2) + "\n")
    os.replace(temporary, path)


def _git() -> dict[str, Any] | None:
    """The commit of this code, and whether the code has changed since; None outside of a repository."""
    folder = Path(__file__).parent
    commands = (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "."])
    try:
        commit, changes = (
            subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "changed": bool(changes)}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    """What the process runs on."""
    return {
        "system": platform.platform(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
