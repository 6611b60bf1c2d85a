"""The kill matrix: runs killed at every boundary and inside every long task, then resumed or undone.

Where a killed rollback is recovered, that recovery is killed too while points of it are still to be tried, and
recovered in turn: a run less for each such pair, and a harder trial.

python drill/scenario/kills.py --list                 points, one a line
python drill/scenario/kills.py --point "<name>"       one point (any part of its name), --recovery resume|undo|again
python drill/scenario/kills.py --sample 10            a sample; --seed as printed repeats it
python drill/scenario/kills.py                        all of them
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import points
from bench import ARTIFACTS, Bench
from controlled import ROOT, Controlled, Freezer, Hung, leave_nothing_behind
from points import Point

#: From which state a playbook starts, and the ways to recover it with the state that each has to lead to.
START = {"rollback-full": "A", "undo-rollback": "B", "resume-rollback": "A", "capture-restore-point": "A"}
RECOVERIES = {
    "rollback-full": {"resume": "B", "undo": "A"},
    "undo-rollback": {"resume": "A", "again": "A"},
    "resume-rollback": {"resume": "B", "undo": "A"},
    "capture-restore-point": {"again": "A"},
}
PLAYBOOK = {"resume": "resume-rollback", "undo": "undo-rollback"}
#: What may be killed after a killed rollback, with the ways to recover then. A resume after an undo that was killed
#: before it began continues the rollback instead, so only the same undo once more leads to a known state.
SECOND = {"resume-rollback": ("resume", "undo"), "undo-rollback": ("again",)}
#: Where the run is killed that a resume to be killed resumes: everything is half way there.
HALF_WAY = "Beside | Swap the schemas"


@dataclasses.dataclass
class Outcome:
    """What came of one point, or of two; ``missed`` says that the second run ended without coming to its point."""

    point: str
    recovery: str
    second: str = ""
    missed: bool = False
    points: int = 1
    boundaries: int = 1
    killed_at: list[str] = dataclasses.field(default_factory=list)
    exit: int = -1
    state: str = ""
    problems: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether a promise was broken."""
        return bool(self.problems)


def file_name(text: str) -> str:
    """A name of a point as the name of a file."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:150]


def expected(playbook: str, recovery: str, unfinished: bool, in_place: bool) -> tuple[str, bool]:
    """State that a recovery of ``playbook`` has to lead to, and whether it has to succeed."""
    if unfinished:
        return RECOVERIES[playbook][recovery], True
    # Killed before it announced anything or after it recorded its end: perhaps there is nothing left to do.
    now, again = "B" if in_place else "A", PLAYBOOK.get(recovery, playbook)
    if again == "undo-rollback":
        return "A", in_place
    return now, again != "resume-rollback"


def last_words(output: str) -> str:
    """The end of what a playbook printed, on one line."""
    return " ".join(output[-1500:].split())


class Matrix:
    """Tries points, one after the other, on one system."""

    def __init__(self, bench: Bench) -> None:
        """Use a prepared bench."""
        self.bench = bench
        self.outcomes: list[Outcome] = []
        #: Called after each outcome, for whoever keeps them.
        self.told: Callable[[], None] = lambda: None

    # -- points ----------------------------------------------------------------------------------------------------

    def record_resume(self) -> None:
        """Put a complete resume of a run killed half way on record, once there is such a playbook."""
        recorded = self.bench.known["recorded"]
        if "resume-rollback" in recorded or not (ROOT / "playbooks" / "resume-rollback.yml").exists():
            return
        self.bench.bring("A")
        self.kill_half_way()
        recorded["resume-rollback"] = self.bench.must("resume-rollback", "B")
        self.bench.save()

    def points(self) -> list[Point]:
        """Every point of every playbook on record."""
        found: list[Point] = []
        for playbook, events in self.bench.known["recorded"].items():
            if playbook != "capture-restore-point":
                found += points.boundaries(playbook, events)
            found += points.insides(playbook, events)
        return found

    def half_way(self) -> str:
        """Key of the boundary that stands for half way."""
        keys = points.keys(self.bench.known["recorded"]["rollback-full"])
        return [key for key in keys if HALF_WAY in key][-1]

    # -- killing ---------------------------------------------------------------------------------------------------

    def kill_half_way(self) -> None:
        """Leave a rollback behind that was killed in the middle."""
        with self.bench.start("rollback-full", [self.half_way()]) as run:
            run.wait_for_stop()
            run.kill()

    def kill_at(self, point: Point) -> str:
        """Run the point's playbook and kill it there; returns where it really was killed, empty if it ended before."""
        kept = ARTIFACTS / "killed" / f"{file_name(point.name)}.log"
        stops = [point.key]
        if point.inside:
            recorded = self.bench.known["recorded"][point.playbook]
            stops.append(points.following(recorded, point.key, point.inside.until))
        with self.bench.start(point.playbook, stops, None, kept) as run:
            stopped = run.wait_for_stop()
            if stopped and point.inside:
                stopped = self._kill_inside(point, run)
            elif stopped:
                run.kill()
            return stopped

    def _kill_inside(self, point: Point, run: Controlled) -> str:
        assert point.inside is not None
        watch = Freezer(self.bench.container(point.inside.host), point.inside.kind, point.inside.wanted)
        run.go()
        # The watch ends by itself once it has frozen something; else the run stops at the boundary that follows.
        while watch.process.poll() is None and not watch.ready():
            if run.process.poll() is not None or len([e for e in run.events() if e["event"] == "stopped"]) > 1:
                watch.give_up()
                break
        frozen = watch.frozen()
        run.kill()
        if frozen:
            watch.order(point.flavour)
        return point.name if frozen else f"after {point.key}, which was too fast"

    # -- one cycle -------------------------------------------------------------------------------------------------

    def start_state(self, point: Point) -> None:
        """Bring the system to where the point's playbook starts."""
        self.bench.bring(START[point.playbook])
        if point.playbook == "resume-rollback":
            self.kill_half_way()

    def try_point(self, point: Point, recovery: str, second: Point | None = None) -> Outcome:
        """Kill, kill what was to recover it if ``second`` is given, recover, compare; problems are in the outcome.

        ``recovery`` is one of the last killed playbook.
        """
        outcome = Outcome(point.name, recovery, boundaries=point.stands_for)
        began = time.monotonic()
        try:
            self.start_state(point)
            if not self._killed(point, outcome):
                raise Hung("the run ended without coming to this point")
            if second and self.bench.unfinished():
                outcome.missed = not self._killed(second, outcome)
                if not outcome.missed:
                    outcome.second, outcome.points = second.name, 2
                    outcome.boundaries += second.stands_for
                self.recover(second.playbook, recovery, outcome)
            else:
                # Killed before anything was announced, it leaves nothing that a second one could take up.
                outcome.recovery = "undo" if second else recovery
                self.recover(point.playbook, outcome.recovery, outcome)
        except (Hung, RuntimeError, OSError, ValueError) as error:
            outcome.problems.append(f"{type(error).__name__}: {error}")
        outcome.seconds = round(time.monotonic() - began, 1)
        self.outcomes.append(outcome)
        self.tell(outcome)
        return outcome

    def _killed(self, point: Point, outcome: Outcome) -> bool:
        where = self.kill_at(point)
        outcome.killed_at += [where] if where else []
        return bool(where)

    def recover(self, playbook: str, recovery: str, outcome: Outcome) -> None:
        """Recover a killed ``playbook`` as told and hold the system to the state that has to come of it."""
        wanted, has_to_succeed = expected(playbook, recovery, self.bench.unfinished(), bool(self.bench.in_place()))
        kept = ARTIFACTS / "recovered" / f"{file_name(outcome.second or outcome.point)}-{recovery}.log"
        with self.bench.start(PLAYBOOK.get(recovery, playbook), None, None, kept) as run:
            outcome.exit = run.finish()
            words = last_words(run.output())
        if outcome.exit and has_to_succeed:
            outcome.problems.append(f"{recovery} ended with {outcome.exit}: {words}")
        outcome.state, different = self.bench.state(wanted)
        if outcome.state != wanted:
            outcome.problems += [f"not in state {wanted}", *different]
        if not self.bench.served():
            outcome.problems.append("users are not served")

    def tell(self, outcome: Outcome) -> None:
        """One line for whoever watches."""
        verdict = "FAILED" if outcome.failed else f"ok, state {outcome.state}"
        tried = " => ".join(filter(None, (outcome.point, outcome.second)))
        print(f"{len(self.outcomes):4} {tried} -> {outcome.recovery}: {verdict}, {outcome.seconds} s", flush=True)
        for problem in outcome.problems:
            print(f"       {problem[:600]}", flush=True)
        self.told()

    # -- many ------------------------------------------------------------------------------------------------------

    def run(self, chosen: list[Point]) -> None:
        """Try points in an order that wastes few runs: what ends in B is followed by what starts in B."""
        tried = {name for outcome in self.outcomes for name in (outcome.point, outcome.second)}
        waiting = points.Waiting([point for point in chosen if point.name not in tried])
        turns: collections.Counter[str] = collections.Counter()
        state = "A"
        while first := waiting.first({playbook for playbook, start in START.items() if start == state}):
            second = waiting.second(first, SECOND)
            last = (second or first).playbook
            ways = sorted(SECOND[last] if second else RECOVERIES[last])
            turns[last] += 1
            outcome = self.try_point(first, ways[turns[last] % len(ways)], second)
            if second and not outcome.second:
                waiting.put_back(second, alone=outcome.missed)
            state = outcome.state or "A"

    def summary(self) -> dict[str, Any]:
        """The figures of the matrix."""
        sound = [outcome for outcome in self.outcomes if not outcome.failed]
        return {
            "points": sum(outcome.points for outcome in self.outcomes),
            "boundaries": sum(outcome.boundaries for outcome in self.outcomes),
            "resumed": sum(outcome.points for outcome in sound if outcome.recovery in ("resume", "again")),
            "undone": sum(outcome.points for outcome in sound if outcome.recovery == "undo"),
            "failed": len(self.outcomes) - len(sound),
            "failures": [dataclasses.asdict(outcome) for outcome in self.outcomes if outcome.failed],
        }


def prepared() -> Matrix:
    """A matrix on the system that DRILL_NAME names, with all runs on record."""
    bench = Bench()
    if not bench.known:
        bench.prepare()
    matrix = Matrix(bench)
    matrix.record_resume()
    return matrix


def main() -> int:
    """Try what the command line says."""
    leave_nothing_behind()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--point", default="")
    parser.add_argument("--recovery", default="", choices=["", "resume", "undo", "again"])
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", default=os.environ.get("FAULTS_SEED", ""))
    wanted = parser.parse_args()
    matrix = prepared()
    chosen = [point for point in matrix.points() if wanted.point in point.name]
    if wanted.sample:
        seed = points.seed_of(wanted.seed, datetime.date.today())
        print(f"seed {seed}")
        chosen = points.sample(chosen, wanted.sample, seed)
    if wanted.list:
        print("\n".join(f"{point.stands_for:3}  {point.name}" for point in chosen))
        return 0
    if wanted.recovery:
        for point in chosen:
            matrix.try_point(point, wanted.recovery)
    else:
        matrix.run(chosen)
    print({key: value for key, value in matrix.summary().items() if key != "failures"})
    return 1 if matrix.summary()["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
