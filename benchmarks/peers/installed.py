"""What a server needs: the size of the distributions that have to be installed, and the lines to write."""

import ast
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.servers import ROOT, SERVICE

WITHOUT = "torch"


def distribution(requirement: str) -> str:
    """The name alone of `name[extra]`."""
    return Requirement(requirement).name


def installed_bytes(requirements: tuple[str, ...]) -> int:
    """Of these distributions and of all that they require, but for torch and what torch requires."""
    return sum(map(_size, _required(requirements) - _required((WITHOUT,))))


def _required(requirements: tuple[str, ...]) -> set[str]:
    """The names of distributions and of all that they require here."""
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += _requires(name, extra)
    return {name for name, _ in seen}


def _requires(name: str, extra: str) -> Iterator[Requirement]:
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # left out by whoever installed it
        return
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _size(name: str) -> int:
    if name == "review-lm":  # installed in place: its files stand elsewhere
        return sum(path.stat().st_size for path in (ROOT / "app").rglob("*") if path.is_file())
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        return 0
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file())


def lines(module: str) -> int:
    """Lines of a script but for blank ones, comments and what documents it; the service needs none."""
    if module == SERVICE:
        return 0
    text = _path(module).read_text()
    documented = ast.parse(text).body[0].end_lineno
    return sum(1 for line in text.splitlines()[documented:] if line.strip() and not line.strip().startswith("#"))


def documentation(module: str) -> str:
    return ast.get_docstring(ast.parse(_path(module).read_text())) or ""


def _path(module: str) -> Path:
    """Of a script, without running it."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")
