"""What is measured: observations over time, of one thing on one host, as numbers that can be added up."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


@dataclasses.dataclass(frozen=True)
class Measure:
    """How a value comes from observations: ``share`` and ``good`` of all, ``mean``, ``rate`` a minute, ``count``,
    and ``last`` for the number that the newest look found.

    ``together`` adds up hosts and names, else each is judged by itself. ``counter`` says that observations hold a
    counter whose increase counts.
    """

    kind: str
    together: bool = False
    counter: bool = False


#: By source and measure.
MEASURES = {
    ("access_log", "error_share"): Measure("share", together=True),
    ("access_log", "average_s"): Measure("mean", together=True),
    ("laravel_log", "errors"): Measure("rate", together=True),
    ("laravel_log", "critical"): Measure("rate", together=True),
    ("probes", "availability"): Measure("good", together=True),
    ("probes", "broken_functions"): Measure("share", together=True),
    ("memory", "used_share"): Measure("mean"),
    ("memory", "pressure"): Measure("mean"),
    ("database", "integrity"): Measure("last"),
    ("database", "reachable"): Measure("good"),
    ("database", "connections_share"): Measure("mean"),
    ("services", "restarts"): Measure("count", counter=True),
    ("services", "inactive"): Measure("share"),
    ("prometheus", "value"): Measure("mean"),
}


#: Between the parts of a key; paths, patterns and queries have none.
SEPARATOR = "\t"


@dataclasses.dataclass(frozen=True)
class Observation:
    """What was seen between two Unix times, which are one for a single look.

    ``total`` counts what is known, ``bad`` the part of it that is wrong, ``unsure`` what may be either and is in
    neither; ``sum`` adds up values.
    """

    start: float
    end: float
    total: float
    bad: float = 0
    unsure: float = 0
    sum: float = 0


@dataclasses.dataclass(frozen=True)
class Series:
    """Observations of one thing. Each of ``rows`` is ``[age_s, span_s, total, bad, unsure, sum]``.

    Ages count back from the look and by the clock of the host itself, so that clocks may differ. ``name`` says what was
    measured where a source has several (a path, a pattern, a probe, a unit). ``note`` says why there is nothing or
    less, ``problem`` why it could not be read, ``evidence`` where the newest bad ones are.
    """

    source: str
    measure: str
    name: str = ""
    host: str = ""
    vantage: str = ""
    rows: Sequence[Sequence[float]] = ()
    evidence: Sequence[str] = ()
    note: str = ""
    problem: str = ""

    @property
    def key(self) -> str:
        """Names what is measured, the same at each look."""
        return SEPARATOR.join((self.source, self.measure, self.name, self.host))

    def observations(self, now: float) -> list[Observation]:
        """Newest first; the look was ``now``."""
        found = [Observation(now - row[0] - row[1], now - row[0], *row[2:]) for row in self.rows]
        return sorted(found, key=lambda one: -one.end)


def looked(source: str, measure: str, value: float, **more: Any) -> Series:
    """One look at one value."""
    return Series(source, measure, rows=[[0, 0, 1, 0, 0, value]], **more)


def counted(source: str, measure: str, total: float, bad: float, unsure: float = 0, **more: Any) -> Series:
    """One look at ``total`` things."""
    return Series(source, measure, rows=[[0, 0, total, bad, unsure, 0]], **more)


def failed(source: str, problem: str, host: str = "") -> Series:
    """A source that could not be read."""
    return Series(source, "", host=host, problem=problem)


def as_data(found: Iterable[Series]) -> list[dict[str, Any]]:
    """For a module's result; ``parse`` reads it again."""
    return [{name: value for name, value in vars(one).items() if value} for one in found]


def parse(data: Iterable[Mapping[str, Any]]) -> list[Series]:
    """Series as ``as_data`` wrote them, numbers that went through a template included."""
    try:
        return [
            Series(**{**one, "rows": [[float(number) for number in row] for row in one.get("rows", [])]})
            for one in ({"measure": "", **entry} for entry in data)
        ]
    except (TypeError, ValueError) as error:
        raise RollbackError("A series cannot be read", found=str(error), where="series") from None


def value_of(kind: str, seen: Sequence[Observation]) -> tuple[float, float]:
    """Least and most that the value may be, one where nothing is unsure. ``seen`` is newest first and not empty."""
    total = bad = unsure = added = 0.0
    for one in seen[:1] if kind == "last" else seen:
        total, bad, unsure, added = total + one.total, bad + one.bad, unsure + one.unsure, added + one.sum
    if kind == "mean":
        return added / total, added / total
    if kind == "rate":
        return 60 * bad / total, 60 * bad / total
    if kind in ("count", "last"):
        return bad, bad + unsure
    low, high = bad / (total + unsure), (bad + unsure) / (total + unsure)
    return (low, high) if kind == "share" else (1 - high, 1 - low)
