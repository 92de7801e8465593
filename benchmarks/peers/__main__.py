"""The service beside what people would serve the model with instead: `python -m benchmarks.peers --minutes 32`.

In rounds, each server started, measured and stopped in its turn. Results are kept in `runs/peers`, so that a run that
was stopped goes on; they become `docs/peers.md` and its figures at the end, or by `--report` alone.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.peers.peers import PEERS
from benchmarks.peers.report import report
from benchmarks.peers.rounds import run
from training.errors import TrainingError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--minutes", type=float, default=32, help="that all of it takes, about (default 32)")
    parser.add_argument("--rounds", type=int, default=3, help="that the figures are medians of (default 3)")
    parser.add_argument("--only", type=_names, default=[*PEERS], help=f"some of {','.join(PEERS)}")
    parser.add_argument("--results", type=Path, default=Path("runs/peers"), help="folder of the results of each round")
    parser.add_argument("--quality", type=Path, default=Path("runs/quality"), help="results of benchmarks.quality")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of peers.md and its figures")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the page anew")
    options = parser.parse_args(arguments)
    try:
        if not options.report:
            run(options.results, options.only, options.rounds, options.minutes)
        print(report(options.results, options.quality, options.docs))
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; what was measured is kept, and the same command goes on from there.", file=sys.stderr)
        return 1
    return 0


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {','.join(PEERS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
