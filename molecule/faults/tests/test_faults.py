"""The kill matrix and the fault catalogue, a sample or all of them (FAULTS), on the system that DRILL_NAME names."""

from __future__ import annotations

import datetime
import os

import catalogue
import inject
import kills
import matrix
import points
import pytest

ALL = os.environ.get("FAULTS", "sample") == "all"
SEED = points.seed_of(os.environ.get("FAULTS_SEED", ""), datetime.date.today())
POINTS, FAULTS = 4, 2
CHOSEN = catalogue.FAULTS if ALL else catalogue.sample(FAULTS, SEED)


@pytest.fixture(scope="module")
def prepared():
    """A system in one of its two states, with complete runs on record."""
    print(f"\nFAULTS_SEED={SEED} {'all' if ALL else 'sample'}", flush=True)
    return kills.prepared()


@pytest.fixture(scope="module")
def report(prepared):
    """What goes into matrix.json, however far this comes; a trial of everything goes on where it was interrupted."""
    found = matrix.Report(prepared)
    if ALL:
        found.take_up()
    yield found
    found.ended = len(found.faults) == len(CHOSEN)
    found.write()
    print(found.text(), flush=True)


def test_killed_runs_end_in_one_of_two_states(report):
    known = report.kills.points()
    report.kills.run(known if ALL else points.sample(known, POINTS, SEED))
    assert report.kills.outcomes
    assert [outcome.point for outcome in report.kills.outcomes if outcome.failed] == []


@pytest.mark.parametrize("fault", CHOSEN, ids=lambda fault: fault.name)
def test_fault(report, fault):
    observed = report.known(fault.name)
    if observed is None:
        observed = inject.try_fault(report.kills.bench, fault)
        report.add(observed)
    assert observed.problems == []
