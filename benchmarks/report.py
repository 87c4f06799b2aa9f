"""Shows the figures: for the terminal, for the README, for a program."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.figures import Cost, Table, short
from benchmarks.harness import BATCH_SECONDS, EVENT_LOOP
from benchmarks.workloads import WORKLOADS

PACKAGES = (
    "wsgibg",
    "werkzeug",
    "pydantic",
    "falcon",
    "bottle",
    "flask",
    "asgiref",
    "starlette",
    "fastapi",
    "anyio",
    "uvloop",
)
TITLES = {workload.name: workload.title for workload in WORKLOADS}
BASELINES = ("bare", "falcon")
SUBJECT = "wsgibg"
NOTHING = "-"


def setting() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "event_loop": EVENT_LOOP,
        "batch_seconds": BATCH_SECONDS,
        "packages": dict(_versions()),
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


# ---------------------------------------------------------------- for the terminal


def text(costs: Table, rounds: int) -> str:
    """Return one table per workload: cost, and multiples of the baselines and of wsgibg."""
    facts = setting()
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    lines = [
        f"{facts['python']}, {facts['machine']}, ASGI on {facts['event_loop']}, {rounds} rounds",
        packages,
        "µs per request, without the harness's own; 'x bare': as a multiple of that peer's cost,",
        "of the minima / the median of the pairs",
    ]
    for name, peers in costs.items():
        lines += ["", f"{name}: {TITLES[name]}", *_grid(_rows(peers))]
    return "\n".join(lines)


def _rows(peers: Mapping[str, Cost]) -> Iterator[list[str]]:
    baselines = [name for name in BASELINES if name in peers]
    subjects = [name for name in peers if name.startswith(SUBJECT)]
    yield [
        "peer",
        "min",
        "median",
        *(f"x {name}" for name in (*baselines, *subjects)),
    ]
    for name, cost in peers.items():
        yield [
            name,
            short(cost.minimum),
            short(cost.median),
            *(str(cost.over(peers[other])) for other in (*baselines, *subjects)),
        ]


def _grid(rows: Iterable[list[str]]) -> Iterator[str]:
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [f"{first:<{widths[0]}}"]
        cells += [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
        yield "  " + "  ".join(cells)


# ---------------------------------------------------------------- for the README


def markdown(costs: Table) -> str:
    """Return a table of the minima, and one of each peer's cost as a multiple of wsgibg's.

    Where wsgibg did not take part, the multiples are of `bare`.
    """
    names = list(dict.fromkeys(name for peers in costs.values() for name in peers))

    def minimum(name: str, peers: Mapping[str, Cost]) -> str:
        return short(peers[name].minimum)

    tables = ["Microseconds per request (minimum)", _markdown_grid(costs, names, minimum)]
    subject = next((name for name in (SUBJECT, *BASELINES) if name in names), None)
    if subject is not None:

        def multiple(name: str, peers: Mapping[str, Cost]) -> str:
            return str(peers[name].over(peers[subject])) if subject in peers else NOTHING

        others = [name for name in names if name != subject]
        tables += [
            f"Times the cost of {subject} (of minima / median of pairs)",
            _markdown_grid(costs, others, multiple),
        ]
    return "\n\n".join(tables)


def _markdown_grid(
    costs: Table, names: list[str], show: Callable[[str, Mapping[str, Cost]], str]
) -> str:
    lines = ["| peer | " + " | ".join(costs) + " |", "|---|" + "---:|" * len(costs)]
    for name in names:
        cells = (show(name, peers) if name in peers else NOTHING for peers in costs.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# ---------------------------------------------------------------- for a program


def document(costs: Table, rounds: int) -> dict[str, Any]:
    """Return everything, as JSON can hold it: microseconds by workload, peer and round."""
    return {
        **setting(),
        "rounds": rounds,
        "microseconds": {
            workload: {
                name: {
                    "minimum": cost.minimum,
                    "median": cost.median,
                    "by_round": {str(number): value for number, value in cost.rounds.items()},
                }
                for name, cost in peers.items()
            }
            for workload, peers in costs.items()
        },
    }
