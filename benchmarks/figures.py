"""Turns samples into figures: cost per request without the harness's own, and ratios of peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.harness import Entry, Measurement

MICRO = 1e6


@dataclass(frozen=True)
class Ratio:
    """How many times one peer's cost is another's: of the minima, and the median of the pairs."""

    of_minima: float
    of_pairs: float

    def __str__(self) -> str:
        """Show both, to a precision that the noise allows."""
        return f"{short(self.of_minima)} / {short(self.of_pairs)}"


@dataclass(frozen=True)
class Cost:
    """What a request costs one peer, in microseconds, by round and over all rounds."""

    rounds: Mapping[int, float]

    @property
    def minimum(self) -> float:
        """The least disturbed round: the figure to compare."""
        return min(self.rounds.values())

    @property
    def median(self) -> float:
        """The usual round; far from the minimum means a disturbed machine or many threads."""
        return median(self.rounds.values())

    def over(self, other: Cost) -> Ratio:
        """Return how many times `other` this costs; a pair is one round that both took part in."""
        pairs = [
            cost / other.rounds[number]
            for number, cost in self.rounds.items()
            if number in other.rounds
        ]
        return Ratio(self.minimum / other.minimum, median(pairs))


Table = dict[str, dict[str, Cost]]
"""Costs by workload and peer, peers in the order they were given."""


def table(measurement: Measurement) -> Table:
    """Return the costs, with the harness's own taken off."""
    costs: Table = {}
    for entry in measurement.entries:
        if entry.peer is None:
            continue
        overhead = harness_cost(measurement, entry)
        costs.setdefault(entry.workload, {})[entry.peer] = Cost(
            {
                number: max(seconds * MICRO - overhead, 0.001)
                for number, seconds in entry.samples.items()
            }
        )
    return costs


def harness_cost(measurement: Measurement, entry: Entry) -> float:
    """Return the microseconds that asking the null application of an entry's interface takes."""
    (null,) = (
        other
        for other in measurement.entries
        if other.peer is None
        and other.workload == entry.workload
        and other.interface == entry.interface
    )
    return min(null.samples.values()) * MICRO


def short(value: float) -> str:
    """Show a number by three significant digits, thousands grouped."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
