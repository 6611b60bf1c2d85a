"""Injected faults: break something, roll back, observe, mend, prove.

python drill/scenario/inject.py --list
python drill/scenario/inject.py backup_truncated redis_down     these; without a name all of them
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import threading
import time
from typing import Any

import catalogue
import digest
import evidence
import httpx
from bench import ARTIFACTS, Bench
from catalogue import Act, Fault
from controlled import Controlled, Freezer, Hung, leave_nothing_behind
from traffic import INTERVAL_S, Sample

#: Longest time that users may wait where the fault itself does not keep them out.
OUTAGE_S = 30.0


@dataclasses.dataclass
class Observed:
    """What came of a fault."""

    name: str
    verdict: str = "none"
    lost_rows: int = -1
    exit: int = -1
    message: str = ""
    served: bool = False
    outage_s: float = 0.0
    problems: list[str] = dataclasses.field(default_factory=list)


class Visitors:
    """Asks each web host for a page that needs the database, all the time, and changes nothing."""

    def __init__(self, urls: dict[str, str]) -> None:
        """Begin."""
        self.samples: list[Sample] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=item, daemon=True) for item in urls.items()]
        for thread in self._threads:
            thread.start()

    def _visit(self, host: str, url: str) -> None:
        with httpx.Client(base_url=url, timeout=5, trust_env=False) as client:
            while not self._stop.wait(INTERVAL_S):
                began = time.time()
                try:
                    status = client.get("/api/health").status_code
                except httpx.HTTPError:
                    status = 0
                self.samples.append(Sample(began, host, "GET /api/health", status, time.time() - began))

    def stop(self) -> list[Sample]:
        """End; returns what they saw."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.samples


def act(bench: Bench, acts: tuple[Act, ...]) -> None:
    """Run the commands of a fault; raises RuntimeError with what a failing one said."""
    variables = {
        "NAME": bench.system.name,
        "NETWORK": bench.system.network,
        "POINT": bench.known["point"],
        "COMMIT": bench.known["commit"],
    }
    find = 'RELEASE=$(dirname "$(grep -lsx "$COMMIT" /srv/campaign/releases/*/REVISION | head -n 1)")\n'
    for host, command in acts:
        if host == "engine":
            argv = ["bash", "-euc", command]
        else:
            settings = [f"--env={key}={value}" for key, value in variables.items()]
            argv = ["docker", "exec", *settings, bench.container(host), "bash", "-euc", find + command]
        done = subprocess.run(argv, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"'{command.strip()[:60]}' on {host}: {done.stderr.strip()[-300:]}")


def expanded(bench: Bench, extra: dict[str, Any]) -> dict[str, Any]:
    """Extra variables with the commit of the restore point in its place."""
    return {key: value.replace("$COMMIT", bench.known["commit"]) for key, value in extra.items()}


def stop_of(bench: Bench, fault: Fault) -> list[str]:
    """Key of the task before which the fault comes."""
    if not fault.at:
        return []
    changing = [event["key"] for event in bench.known["recorded"][fault.playbook] if event["event"] == "task"]
    return [key for key in changing if fault.at in key][:1]


def message_of(events: list[dict[str, Any]]) -> str:
    """The last error that the run shows."""
    failed = [event for event in events if event["event"] == "result" and event["msg"] and not event["ignored"]]
    return " ".join(failed[-1]["msg"].split()) if failed else ""


def perform(bench: Bench, fault: Fault, run: Controlled) -> int:
    """Inject where the fault has its place in the run, and wait for the end."""
    if fault.at and run.wait_for_stop():
        if fault.inside:
            watch = Freezer(bench.container("data1"), "process", fault.inside)
            run.go()
            if watch.frozen():
                act(bench, fault.inject)
                watch.order("thaw")
        else:
            act(bench, fault.inject)
            run.go()
    return run.finish()


def judge(fault: Fault, observed: Observed, state: str, recorded: bool) -> str:
    """Name of what the run made of the fault, from states and records and not from what it says."""
    if state == "B" and observed.exit == 0:
        return "success"
    if state == "A" and observed.exit != 0:
        return "taken back" if recorded else "refused"
    if state == "" and observed.exit != 0:
        return "partly"
    return f"wrong: exit {observed.exit} in state {state or 'neither A nor B'}"


def observe(bench: Bench, fault: Fault, observed: Observed) -> None:
    """The whole experiment; leaves the system mended, in A or B."""
    bench.bring("A")
    known = len(bench.records())
    act(bench, fault.before)
    visitors = Visitors(bench.system.web)
    kept = ARTIFACTS / "faults" / f"{fault.name}.log"
    try:
        if not fault.at:
            act(bench, fault.inject)
        try:
            with bench.start(fault.playbook, stop_of(bench, fault), expanded(bench, fault.extra), kept) as run:
                observed.exit = perform(bench, fault, run)
                observed.message = message_of(run.events())
        finally:
            act(bench, fault.repair)
    finally:
        seen = [sample for sample in visitors.stop() if sample.host not in fault.down]
        act(bench, fault.after)
    observed.outage_s = evidence.outage(seen)
    state, different = bench.state("AB")
    observed.verdict = judge(fault, observed, state, len(bench.records()) > known)
    if observed.verdict == "partly":
        exit_status = bench.complete("undo-rollback", kept=ARTIFACTS / "faults" / f"{fault.name}-undo.log")
        state, different = bench.state("A")
        if exit_status or not state:
            observed.problems.append(f"the undo ended with {exit_status}")
    observed.problems += different
    observed.lost_rows = digest.lost_rows(bench.known["rows"][state or "A"], bench.rows())
    observed.served = bench.served()


def try_fault(bench: Bench, fault: Fault) -> Observed:
    """One fault; whatever is not as expected is among the problems."""
    observed = Observed(fault.name)
    began = time.monotonic()
    try:
        observe(bench, fault, observed)
    except (Hung, RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        observed.problems.append(f"{type(error).__name__}: {error}")
    if observed.verdict not in fault.verdicts:
        observed.problems.append(f"verdict {observed.verdict} instead of {' or '.join(sorted(fault.verdicts))}")
    if observed.lost_rows:
        observed.problems.append(f"{observed.lost_rows} rows lost")
    if not observed.served:
        observed.problems.append("users are not served at the end")
    if observed.exit and not observed.message:
        observed.problems.append("no error message")
    if observed.verdict != "partly" and observed.outage_s > OUTAGE_S:
        observed.problems.append(f"users waited {observed.outage_s} s")
    tell(observed, time.monotonic() - began)
    return observed


def tell(observed: Observed, seconds: float) -> None:
    """A few lines for whoever watches."""
    verdict = "FAILED" if observed.problems else "ok"
    print(
        f"     {observed.name}: {verdict}, {observed.verdict}, exit {observed.exit}, {observed.lost_rows} rows lost,"
        f" outage {observed.outage_s} s, {seconds:.0f} s",
        flush=True,
    )
    print(f"       {observed.message[:400]}", flush=True)
    for problem in observed.problems:
        print(f"       ! {problem[:400]}", flush=True)


def main() -> int:
    """Try the faults that the command line names."""
    leave_nothing_behind()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *(fault.name for fault in catalogue.FAULTS)])
    parser.add_argument("--list", action="store_true")
    wanted = parser.parse_args()
    chosen = [fault for fault in catalogue.FAULTS if not wanted.names or fault.name in wanted.names]
    if wanted.list:
        print("\n".join(f"{fault.name:<36} {' or '.join(sorted(fault.verdicts))}" for fault in chosen))
        return 0
    bench = Bench()
    if not bench.known:
        bench.prepare()
    found = [try_fault(bench, fault) for fault in chosen]
    return 1 if any(observed.problems for observed in found) else 0


if __name__ == "__main__":
    sys.exit(main())
