"""`docs/peers.md`: the tables, the pictures, how each server is set up, and where one of them wins."""

from pathlib import Path

from app.settings import variable
from benchmarks.peers.installed import documentation, installed_bytes, lines
from benchmarks.peers.measure import LEAST_SECONDS, PATIENCE, SECONDS, TIMES
from benchmarks.peers.peers import OURS, PEERS
from benchmarks.peers.pictures import draw
from benchmarks.peers.quality import quality_table
from benchmarks.peers.rounds import results as read
from benchmarks.peers.tables import NOTHING, TABLES, Results, Rounds, overload_table, spread, table, wins
from benchmarks.servers import SERVICE
from training.errors import TrainingError

REASONS = Path(__file__).with_name("reasons.md")
"""What is written by hand: why a peer wins, and what none of them could show."""
WHAT = """\
The service beside what people would serve the same model with instead, by `make bench-peers`: the same artifact, the same requests,
and the same code for the model ([benchmarks/peers/shared.py](../benchmarks/peers/shared.py): the service's own search and sampling, a
static batch at a time). What differs is who serves it."""  # noqa: E501 - lines of the page
OVERLOAD = f"""\
## {TIMES} times what each can do

Texts asked for at {TIMES} times the rate at which each wrote them for 32 clients, who wait {PATIENCE:.0f} s at most. The service refuses
at once what would wait too long (429, with `Retry-After`); what queues without an end answers ever later."""  # noqa: E501
QUALITY = """\
## How good what is served is

From `python -m benchmarks.quality`: the same reviews, vocabulary and minutes for each. The top 3 of next words is known where
`python -m training evaluate --full` measured it; milliseconds per token are those of one client here."""  # noqa: E501


def report(folder: Path, quality: Path, docs: Path) -> str:
    """Writes the page and its pictures; returns the page. Raises TrainingError where there is nothing to show."""
    results: Results = dict(read(folder).items())
    if OURS not in results:
        raise TrainingError(f"There is no result of the service in {folder}; run `python -m benchmarks.peers` first.")
    pictures = draw(results, docs / "figures")
    text = page(results, quality, pictures)
    (docs / "peers.md").write_text(text)
    return text


def page(results: Results, quality: Path, pictures: list[str]) -> str:
    parts = [_head(results), *(f"![{name.split('.')[0]}](figures/{name})" for name in pictures)]
    for title, columns in TABLES.items():
        parts += [f"## {title}", table(columns, results)]
    labels = {name: PEERS[name].label.replace("*", "") for name in results}
    parts += [
        OVERLOAD,
        overload_table(results),
        "## To install, to start, to trust",
        _rest(results),
        QUALITY,
        quality_table(quality, results),
        "## Where the service is not the best",
        "\n".join(wins(results)) or "Nowhere in the tables above.",
        REASONS.read_text().strip(),
        "## How each is set up",
        *(f"### {labels[name]} {_versions(rounds)}\n\n{_set_up(name)}" for name, rounds in results.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _head(results: Results) -> str:
    everything = [each for rounds in results.values() for each in rounds]
    counts = sorted({len(rounds) for rounds in results.values()})
    machines, pythons = (", ".join(sorted({each[what] for each in everything})) for what in ("machine", "python"))
    scales, days = [each["scale"] for each in everything], sorted(each["measured"][:10] for each in everything)
    return f"""# Side by side

{WHAT}

Medians of {"–".join(map(str, counts))} rounds, with the smallest and the largest in brackets. In each round every
server is started, measured and stopped in its turn, each round beginning with another. Typing is measured for
{SECONDS["typing"]:.0f} s, other traffic for about {SECONDS["score"]:.0f}, times {spread(scales)};
typing for {LEAST_SECONDS["typing"]:.0f} s at least, by people who are at all places of their texts.

Measured on {machines}, Python {pythons}, {" to ".join(dict.fromkeys([days[0], days[-1]]))}.
The load comes from the same machine."""


def _rest(results: Results) -> str:
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
        variables = "".join(f"`{variable(setting)}={value}` " for setting, value in PEERS[name].settings)
        return f"{variables}`python -m app`, else with its defaults. What was typed before is kept, in each process."
    path = f"{module.replace('.', '/')}.py"
    return f"[{path}](../{path}), `python -m {module}`. {documentation(module)}"
