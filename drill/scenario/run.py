"""Break the drill system, roll it back under traffic, prove it, undo, prove it, roll back again.

Called by ``make drill``; expects the system to be up with release v1 (drill/bin/up does that).
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
import time
from typing import Any

import evidence
import httpx
from system import ROOT, System
from traffic import ROUTES, Traffic

BUDGET_S = {"full": 7200, "selective": 900}
FAULTS = {"error_share": 0.2, "slow_share": 0.05, "slow_ms": 1500}
CONFIRM = re.compile(r"rollback_confirm=([\w.-]+(?::[\w,-]+)+)")


def say(text: str) -> None:
    """A step of the drill, for whoever watches."""
    print(f"\n== {text}", flush=True)


def confirmation(system: System, playbook: str) -> str:
    """The word that a playbook without confirmation asks for; it must refuse to act."""
    run = system.play(playbook)
    found = CONFIRM.search(re.sub(r"\s+", " ", run.stdout.read()))
    if run.rc == 0 or not found:
        sys.exit(f"{playbook} without confirmation should print the plan and stop; exit status {run.rc}")
    return found[1]


def checks_from_outside(system: System, version: str) -> list[dict[str, Any]]:
    """The drill's own opinion about what is served."""
    found = []
    hybrid = 404 if version == "v1" else 401
    for host, url in system.web.items():
        with httpx.Client(base_url=url, timeout=15, trust_env=False) as client:
            answers = {
                f"{host} serves {version}": client.get("/api/health").json().get("version") == version,
                f"{host} is healthy in detail": client.get("/api/health/detailed").status_code == 200,
                f"{host} serves the log-in page": client.get("/login").status_code == 200,
                f"{host} answers hybrid with {hybrid}": client.post("/api/campaigns/hybrid").status_code == hybrid,
            }
        found += [{"name": name, "passed": passed} for name, passed in answers.items()]
    return found


def lost(before: dict[str, set[int]], after: dict[str, set[int]]) -> int:
    """Rows that were there before and are not after."""
    return sum(len(keys - after[table]) for table, keys in before.items())


def quiet(system: System) -> bool:
    """Whether nothing waits to be sent."""
    return not system.query("SELECT 1 FROM campaign_logs WHERE status IN ('pending', 'sending') LIMIT 1")


def roll_back(
    system: System, traffic: Traffic, before: dict[str, set[int]], word: str, artifacts: pathlib.Path
) -> dict[str, Any]:
    """One full rollback, observed; no row of ``before``, and none acknowledged since, may be missing after it."""
    began = time.time()
    run = system.play(
        "playbooks/rollback-full.yml",
        {"rollback_confirm": word, "rollback_target": word.split(":")[1], "rollback_reason": "drill"},
        artifacts,
    )
    ended = time.time()
    print(f"  rollback-full to {word}: exit {run.rc}, {ended - began:.1f} s", flush=True)
    if run.rc:
        print(run.stdout.read()[-6000:])
    time.sleep(1)  # one more second of traffic, so that the samples reach past the verdict
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
        "budget_s": BUDGET_S["full"],
    }


def full(system: System, traffic: Traffic, artifacts: pathlib.Path) -> dict[str, Any]:
    """The drill of level 3."""
    say("v1 under traffic: capture a restore point")
    system.wait_until(
        "campaigns are written and sent", lambda: len(traffic.acknowledged) >= 4 and system.deliveries()["messages"]
    )
    system.must("playbooks/capture-restore-point.yml")

    say("Deploy v2, let it write and fail")
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
    word = confirmation(system, "playbooks/rollback-full.yml")
    observed = roll_back(system, traffic, written_by_v2, word, artifacts)
    system.must("playbooks/validate-system.yml")

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
    again = roll_back(system, traffic, system.ids(), word, artifacts)
    observed["checks"] = observed["checks"] + undone + again["checks"]
    observed["rows_lost"] = max(observed["rows_lost"], again["rows_lost"])
    observed["duplicate_sends"] = again["duplicate_sends"]
    if again["verdict"] != "success":
        observed["verdict"] = "failed"
    return observed


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
    # Imported here, because the drill of a level uses what is above.
    import selective

    routes = (*ROUTES, *selective.ROUTES) if level == "selective" else ROUTES
    traffic = Traffic(system.web, system.secret("api_token"), choice, routes)
    traffic.start()
    try:
        observed = {"full": full, "selective": selective.selective}[level](system, traffic, artifacts)
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
