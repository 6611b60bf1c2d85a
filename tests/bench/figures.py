"""Measured figures beside the goals of the project: one table, and the same as JSON."""

from __future__ import annotations

import dataclasses
import statistics
import sys


@dataclasses.dataclass
class Figure:
    """``samples`` in ``unit``; ``goal`` is the most, or with ``at_least`` the least, that is wanted.

    ``limits`` is what copying the same bytes with sync took beside each sample.
    """

    what: str
    unit: str
    goal: float | None
    at_least: bool
    samples: list[float] = dataclasses.field(default_factory=list)
    limits: list[float] = dataclasses.field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        reached = self.median >= self.goal if self.at_least else self.median <= self.goal
        return "ok" if reached else "MISSED"

    def row(self) -> list[str]:
        goal = "" if self.goal is None else f"{'>=' if self.at_least else '<='} {short(self.goal)}"
        limit = short(statistics.median(self.limits)) if self.limits else ""
        runs = " ".join(short(sample) for sample in self.samples)
        return [self.what, goal, short(self.median), self.unit, limit, self.verdict, runs]


class Figures:
    """In the order in which they are first taken."""

    HEAD = ("what", "goal", "median", "unit", "limit", "", "runs")

    def __init__(self) -> None:
        self.all: dict[str, Figure] = {}

    def take(self, what, value, unit="s", goal=None, at_least=False, limit=None):
        """One more sample; ``value`` is returned."""
        figure = self.all.setdefault(what, Figure(what, unit, goal, at_least))
        figure.samples.append(value)
        if limit is not None:
            figure.limits.append(limit)
        print(f"  {what}: {short(value)} {unit}", file=sys.stderr, flush=True)
        return value

    def table(self) -> str:
        rows = [list(self.HEAD), *(figure.row() for figure in self.all.values())]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.HEAD))]
        # Names to the left, numbers to the right.
        lines = [
            "  ".join(
                cell.ljust(width) if column in (0, 3, 5, 6) else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])

    def described(self) -> list[dict[str, object]]:
        return [
            {**dataclasses.asdict(figure), "median": figure.median, "verdict": figure.verdict.lower()}
            for figure in self.all.values()
        ]


def short(number: float) -> str:
    """Three digits that count, whole numbers whole."""
    if number == int(number) or abs(number) >= 100:
        return f"{number:.0f}"
    return f"{number:.3g}"
