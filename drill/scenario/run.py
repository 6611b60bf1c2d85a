"""Break the drill system, roll it back under traffic, prove it, undo, prove it, roll back again.

Called by ``make drill``; expects the system to be up with release v1 (drill/bin/up does that).
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import re
import sys
import time
from typing import Any

import auto
import evidence
import frontend
import httpx
import selective
from steps import checks_from_outside, confirmation, lost, quiet, say
from system import ROOT, System
from traffic import Traffic

BUDGET_S = {"full": 7200, "partial": 1800}
FAULTS = {"error_share": 0.2, "slow_share": 0.05, "slow_ms": 1500}


def served_all_the_time(name: str, observed: dict[str, Any]) -> dict[str, Any]:
    """That a load balancer would have found a web host at any moment of a rollback."""
    spans = evidence.nobody_served(evidence.window(observed["samples"], observed["began"], observed["ended"]))
    return {"name": f"some web host served at any moment of the {name} rollback, not {spans} s", "passed": not spans}


def roll_back(
    system: System, traffic: Traffic, before: dict[str, set[int]], word: str, artifacts: pathlib.Path, level: str
) -> dict[str, Any]:
    """One rollback, observed; no row of ``before``, and none acknowledged since, may be missing after it."""
    began = time.time()
    run = system.play(
        f"playbooks/rollback-{level}.yml",
        {"rollback_confirm": word, "rollback_target": word.split(":")[1], "rollback_reason": "drill"},
        artifacts,
    )
    ended = time.time()
    print(f"  rollback-{level} to {word}: exit {run.rc}, {ended - began:.1f} s", flush=True)
    if run.rc:
        print(run.stdout.read()[-6000:])
    system.wait_until("requests after the verdict are on record", lambda: traffic.reaches_past(ended))
    system.wait_until("everything queued is sent", lambda: quiet(system))
    return {
        "samples": list(traffic.samples),
        "events": list(run.events),
        "began": began,
        "ended": ended,
        "verdict": "success" if run.rc == 0 else "failed",
        "rows_lost": lost({**before, "campaigns": before["campaigns"] | set(traffic.acknowledged)}, system.ids()),
        "duplicate_sends": len(system.deliveries()["duplicates"]),
        "checks": checks_from_outside(system, "v1"),
        "budget_s": BUDGET_S[level],
    }


def validated(system: System) -> list[dict[str, Any]]:
    """Validate the system; where a browser is asked for, a check in it that was skipped has not passed."""
    said = system.must("playbooks/validate-system.yml").stdout.read()
    names = [
        "no hybrid option",
        "template can be chosen",
        "contact group can be chosen",
        "campaign is created and listed",
    ]
    return [
        {"name": f"in a browser: {name}", "passed": re.search(f"{name} +web1 +passed", said) is not None}
        for name in (names if os.environ.get("DRILL_BROWSER") == "writes" else ())
    ]


def data_and_code(system: System, traffic: Traffic, artifacts: pathlib.Path, level: str) -> dict[str, Any]:
    """The drill of levels 2 and 3."""
    say("v1 under traffic: capture a restore point")
    system.wait_until(
        "campaigns are written and sent", lambda: len(traffic.acknowledged) >= 4 and system.deliveries()["messages"]
    )
    system.must("playbooks/capture-restore-point.yml")

    say("Ask whether there is a way back, deploy v2, let it write and fail")
    commit = {"rollback_commit": system.commit("v2")}
    if not system.play("playbooks/check-deployment.yml", commit).rc:
        sys.exit("A deployment is let through that nobody has called green.")
    system.must("playbooks/mark-staging.yml", {**commit, "rollback_green": "drill"})
    system.must("playbooks/check-deployment.yml", commit)
    system.must("drill/deploy.yml", {"deploy_version": "v2"})
    traffic.hybrid.set()
    system.wait_until(
        "v2 has written hybrid campaigns",
        lambda: len(system.query("SELECT id FROM campaigns WHERE campaign_type = 'hybrid'")) >= 3,
    )
    traffic.hybrid.clear()  # v1 rightly answers 404 there, which would count as a failed request
    faults = artifacts / "faults.json"
    faults.write_text(json.dumps({"drill_faults": FAULTS}))
    system.must("drill/faults.yml", {"@" + str(faults): ""})
    written_by_v2 = system.ids()

    say("Roll back under traffic")
    word = confirmation(system, f"playbooks/rollback-{level}.yml")
    observed = roll_back(system, traffic, written_by_v2, word, artifacts, level)
    observed["checks"] += validated(system)

    say("Undo: v2 with its data")
    faults.write_text(json.dumps({"drill_faults": {}}))
    system.must("drill/faults.yml", {"@" + str(faults): ""})
    system.must(
        "playbooks/undo-rollback.yml", {"rollback_confirm": confirmation(system, "playbooks/undo-rollback.yml")}
    )
    undone = checks_from_outside(system, "v2")
    undone.append({"name": "v2 has its rows again", "passed": lost(written_by_v2, system.ids()) == 0})
    system.must("playbooks/validate-system.yml")

    say("Roll back again")
    again = roll_back(system, traffic, system.ids(), word, artifacts, level)
    observed["checks"] = observed["checks"] + undone + again["checks"]
    if level == "partial":
        observed["checks"] += [served_all_the_time(name, one) for name, one in (("first", observed), ("second", again))]
    observed["rows_lost"] = max(observed["rows_lost"], again["rows_lost"])
    observed["duplicate_sends"] = again["duplicate_sends"]
    if again["verdict"] != "success":
        observed["verdict"] = "failed"
    return observed


#: The drill of each level.
DRILLS = {
    "auto": auto.drill,
    "frontend": frontend.drill,
    "selective": selective.drill,
    **{level: functools.partial(data_and_code, level=level) for level in BUDGET_S},
}


def show(found: dict[str, Any], checks: list[dict[str, Any]], path: pathlib.Path) -> None:
    """The evidence as a table."""
    print("\n" + "-" * 72)
    for key, value in found.items():
        text = ", ".join(f"{name} {part}" for name, part in value.items()) if isinstance(value, dict) else value
        print(f"{key:<18} {text}")
    for check in checks:
        if not check["passed"]:
            print(f"FAILED             {check['name']}")
    print("-" * 72)
    print(f"Evidence: {path.relative_to(ROOT)}")


def main(level: str) -> int:
    """Run the drill of a level; exit status 0 only if everything held."""
    system = System()
    artifacts = ROOT / "artifacts" / "drill" / level
    artifacts.mkdir(parents=True, exist_ok=True)
    choice = {"template_id": system.query("SELECT MIN(id) FROM templates")[0][0]}
    choice["group_id"] = system.query("SELECT id FROM contact_groups WHERE name = 'Pilot'")[0][0]
    httpx.post(f"{system.sink}/reset", timeout=15, trust_env=False)
    traffic = Traffic(system.web, system.secret("api_token"), choice)
    traffic.start()
    try:
        observed = DRILLS[level](system, traffic, artifacts)
    finally:
        traffic.stop()
    leaks = system.leaks(ROOT / "artifacts")
    observed["checks"].append({"name": f"no secret was printed or kept: {leaks[:3]}", "passed": not leaks})
    found = evidence.build(level, observed)
    sound = not found["checks"]["failed"] and not found["rows_lost"] and not found["duplicate_sends"]
    found["verdict"] = observed["verdict"] if sound else "failed"
    path = artifacts / "evidence.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    show(found, observed["checks"], path)
    return 0 if found["verdict"] == "success" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "full"))
