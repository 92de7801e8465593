"""The command line: `python -m benchmarks.ray serve|bulk`; needs `pip install '.[ray,dev]'`."""

import argparse
import json
import sys

from benchmarks.ray.bulk import bulk
from benchmarks.ray.serve import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray", description="A Ray cluster of two nodes, here.")
    parser.add_argument("what", choices=["serve", "bulk"])
    parser.add_argument("--texts", type=int, default=100_000, help="that bulk scores (default 100000)")
    options = parser.parse_args()
    print(json.dumps(serve() if options.what == "serve" else bulk(options.texts), indent=1), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
