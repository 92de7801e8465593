"""The SHA-256 sums of an artifact's files, in the format that `sha256sum --check SHA256SUMS` reads.

TorchScript is code: what is loaded is what was exported, or nothing.
"""

import hashlib
import hmac
import re
from pathlib import Path

from app.errors import StartupError

SUMS_FILE = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
ADVICE = "export one with `python -m training export`, or set REVIEW_LM_MODEL_DIRECTORY to a folder that has one"


def verified(directory: Path, names: tuple[str, ...], pinned: dict[str, str]) -> dict[str, bytes]:
    """Reads the files `names` of an artifact, each once, so that what was checked is what is used.

    Raises StartupError where one is missing, or is not what SHA256SUMS says, or not the sum that `pinned` has of it.
    """
    for name in (*names, SUMS_FILE):
        if not (directory / name).is_file():
            raise StartupError(f"There is no {directory / name}; {ADVICE}.")
    sums = _sums(directory / SUMS_FILE)
    contents = {name: (directory / name).read_bytes() for name in names}
    for name, content in contents.items():
        found = hashlib.sha256(content).hexdigest()
        if not hmac.compare_digest(found, sums.get(name, "")):
            raise StartupError(
                f"{directory / name} is damaged or was changed: it is not what {SUMS_FILE} says; {ADVICE}."
            )
        if not hmac.compare_digest(found, pinned.get(name, found)):
            raise StartupError(
                f"{directory / name} has the SHA-256 sum {found}, not the one that is asked for; {ADVICE}."
            )
    return contents


def _sums(path: Path) -> dict[str, str]:
    found = [LINE.fullmatch(line) for line in path.read_text("utf-8", "replace").splitlines()]
    if not all(found):
        raise StartupError(f"{path} has a line that is no SHA-256 sum and name of a file; {ADVICE}.")
    return {match[2]: match[1] for match in found if match}
