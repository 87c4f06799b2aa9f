"""The command line: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import traceback
from pathlib import Path

from benchmarks import figures, report
from benchmarks.harness import event_loop, measure, prepare
from benchmarks.peers import load
from benchmarks.proof import ProofError
from benchmarks.workloads import WORKLOADS, Workload, select

DEFAULT_ROUNDS = 80


def main() -> int:
    """Run what the arguments ask for; return the exit code, 1 where a peer is not as it must be."""
    options = _arguments()
    # A server has a handler of its own for SIGINT. Under Python's, asyncio's runner would swap
    # it at every entry, which Falcon's `async_to_sync` would pay for (33 µs instead of 12).
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        workloads = select(options.workloads) if options.workloads else WORKLOADS
        peers = load(options.peers, note=_say)
    except (ValueError, RuntimeError) as error:
        _say(str(error))
        return 2 if isinstance(error, ValueError) else 1
    with event_loop() as loop:
        _say(f"proving {len(peers)} peers on {len(workloads)} workloads")
        rounds = options.rounds
        if rounds is None and options.seconds is None:
            rounds = DEFAULT_ROUNDS
        try:
            measurement = prepare(peers, workloads, loop)
            measure(measurement, rounds, options.seconds, _progress)
        except ProofError as error:
            if error.__cause__ is not None:
                traceback.print_exception(error.__cause__)
            _say(str(error))
            return 1
    _say("")
    costs = figures.table(measurement)
    print(report.text(costs, measurement.rounds))
    if options.table:
        print("\n" + report.markdown(costs))
    if options.json:
        document = report.document(costs, measurement.rounds)
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time wsgibg and its peers in one interleaved run, in process.",
        epilog="Workloads: " + "; ".join(_describe(w) for w in WORKLOADS),
    )
    parser.add_argument(
        "--peers", type=_names, default=(), help="comma-separated; `fastapi` selects all of its"
    )
    parser.add_argument(
        "--workloads", type=_names, default=(), help="comma-separated; `W7` selects all of its"
    )
    parser.add_argument("--rounds", type=int, help=f"how many (default: {DEFAULT_ROUNDS})")
    parser.add_argument("--seconds", type=float, help="start no round after this many")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every round's figures")
    parser.add_argument("--table", action="store_true", help="print Markdown for the README too")
    return parser.parse_args()


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _describe(workload: Workload) -> str:
    return f"{workload.name} {workload.title}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
