"""`docs/peers.md`: the tables, the pictures, how each server is set up, and where one of them wins."""

from pathlib import Path
from typing import Any

from benchmarks.peers.installed import documentation, installed_bytes, lines
from benchmarks.peers.measure import PATIENCE, SECONDS, TIMES
from benchmarks.peers.peers import OURS, PEERS
from benchmarks.peers.pictures import draw
from benchmarks.peers.quality import quality_table
from benchmarks.peers.rounds import results as read
from benchmarks.peers.tables import NOTHING, TABLES, Rounds, overload_table, spread, table, wins
from benchmarks.servers import SERVICE
from training.errors import TrainingError

REASONS = Path(__file__).with_name("reasons.md")
"""What is written by hand: why a peer wins, and what none of them could show."""


def report(folder: Path, quality: Path, docs: Path) -> str:
    """Writes the page and its pictures; returns the page. Raises TrainingError where there is nothing to show."""
    results: dict[str, Rounds] = {name: rounds for name, rounds in read(folder).items()}
    if OURS not in results:
        raise TrainingError(f"There is no result of the service in {folder}; run `python -m benchmarks.peers` first.")
    pictures = draw(results, docs / "figures")
    text = page(results, quality, pictures)
    (docs / "peers.md").write_text(text)
    return text


def page(results: dict[str, Rounds], quality: Path, pictures: list[str]) -> str:
    parts = [_head(results), *(f"![{name.split('.')[0]}](figures/{name})" for name in pictures)]
    for title, columns in TABLES.items():
        parts += [f"## {title}", table(columns, results)]
    parts += [
        f"## {TIMES} times what each can do",
        f"Texts asked for at {TIMES} times the rate that each wrote them for 32 clients; clients wait {PATIENCE:.0f} s. "
        "The service refuses what it could not answer in time (429, with `Retry-After`); a queue without an end answers "
        "ever later.",
        overload_table(results),
        "## To install, to start, to trust",
        _rest(results),
        "## How good what is served is",
        "From `python -m benchmarks.quality`: the same reviews, vocabulary and minutes for each; the top 3 of next words "
        "where `python -m training evaluate --full` measured it. Milliseconds per token are those of one client here.",
        quality_table(quality, results),
        "## Where the service is not the best",
        "\n".join(wins(results)) or "Nowhere in the tables above.",
        REASONS.read_text().strip(),
        "## How each is set up",
        *(f"### {PEERS[name].label.strip('*')} {_versions(rounds)}\n\n{_set_up(name)}" for name, rounds in results.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _head(results: dict[str, Rounds]) -> str:
    everything = [each for rounds in results.values() for each in rounds]
    counts = sorted({len(rounds) for rounds in results.values()})
    days = sorted(each["measured"][:10] for each in everything)
    return (
        "# Side by side\n\n"
        "The service beside what people would serve the same model with instead, by `make bench-peers`: the same artifact, "
        "the same requests, and the same code for the model (`benchmarks/peers/shared.py`: the service's own search, "
        "sampling and chunks, a static batch at a time). What differs is who serves it.\n\n"
        f"Medians of {'–'.join(map(str, counts))} rounds, with the smallest and the largest in brackets. In each round every "
        f"server is started, measured and stopped in its turn; typing is measured for {SECONDS['typing']:.0f} s, other "
        f"traffic for about {SECONDS['write']:.0f}, scaled by {spread([each['scale'] for each in everything])}.\n\n"
        f"Measured on {'; '.join(sorted({each['machine'] for each in everything}))}, "
        f"Python {', '.join(sorted({each['python'] for each in everything}))}, {' to '.join(dict.fromkeys([days[0], days[-1]]))}; "
        "the load comes from the same machine."
    )


def _rest(results: dict[str, Rounds]) -> str:
    """What is measured besides traffic: a row for each server."""
    rows = [
        "| | start to first answer, s | memory of all processes, MB | installed besides torch, MB | lines to write "
        "| seeded texts as alone | as the service writes them |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, rounds in results.items():
        peer = PEERS[name]
        cells = [
            peer.label,
            spread([each["cold start, s"] for each in rounds]),
            spread([each["memory, MB"] for each in rounds]),
            f"{installed_bytes(peer.packages) / 1e6:,.0f}",
            str(lines(peer.module)),
            _share([each["seeds"] for each in rounds]),
            NOTHING if peer.writes else _share([each["same text as the service"] for each in rounds]),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _share(counts: list[dict[str, int]]) -> str:
    return f"{sum(each['equal'] for each in counts):,} of {sum(each['compared'] for each in counts):,}"


def _versions(rounds: Rounds) -> str:
    return ", ".join(sorted({each["version"] for each in rounds}))


def _set_up(name: str) -> str:
    module = PEERS[name].module
    if module == SERVICE:
        return "`python -m app` with its defaults: one process, which keeps what was typed before."
    path = f"{module.replace('.', '/')}.py"
    return f"[{path}](../{path}), `python -m {module}`. {documentation(module)}"


