"""The drill of level 1: a broken front end is live, and the one before it comes back while users work."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
from typing import Any

import httpx
from steps import LIVE, confirmation, say
from system import System
from traffic import Traffic

BUDGET_S = 300
HYBRID = "/api/campaigns/hybrid"
#: What a deployment that went wrong leaves: the page loads, and its script is not there.
BREAK = f"rm {LIVE}/public/build/{{}}"


def manifest(url: str) -> dict[str, Any]:
    """The only entry of the live build's manifest, as users get it."""
    answer = httpx.get(f"{url}/build/manifest.json", timeout=15, trust_env=False)
    answer.raise_for_status()
    (chunk,) = [chunk for chunk in answer.json().values() if chunk.get("isEntry")]
    return dict(chunk)


def assets(chunk: dict[str, Any]) -> list[str]:
    """Addresses of what a page of this build asks for."""
    return [f"/build/{name}" for name in [chunk["file"], *chunk.get("css", [])]]


def break_build(system: System, script: str) -> None:
    """Take the script of the live build away on every web host."""
    for host in system.web:
        argv = ["docker", "exec", f"{system.name}-{host}", "sh", "-ec", BREAK.format(script)]
        subprocess.run(argv, check=True)


def served(system: System, chunk: dict[str, Any], gone: set[str], held: bool) -> list[dict[str, Any]]:
    """The drill's own opinion: which build is live, that both builds' assets are there, and what is held back."""
    found = []
    for host, url in system.web.items():
        with httpx.Client(base_url=url, timeout=15, trust_env=False) as client:
            hybrid = client.post(HYBRID)
            answers = {
                f"{host} serves the build with {chunk['file']}": manifest(url) == chunk,
                f"{host} is healthy in detail": client.get("/api/health/detailed").status_code == 200,
                f"{host} serves the log-in page": client.get("/login").status_code == 200,
                f"{host} holds hybrid back: {held}": hybrid.status_code == (503 if held else 401)
                and ("retry-after" in hybrid.headers) == held,
            }
            for name in assets(chunk):
                wanted = 404 if name in gone else 200
                answers[f"{host} answers {name} with {wanted}"] = client.get(name).status_code == wanted
        found += [{"name": name, "passed": passed} for name, passed in answers.items()]
    return found


def roll_back(system: System, traffic: Traffic, word: str, hold: str, artifacts: pathlib.Path) -> dict[str, Any]:
    """One rollback of level 1, observed."""
    began = time.time()
    extra = {"rollback_confirm": word, "rollback_target": word.split(":")[1], "rollback_reason": "drill"}
    extra.update({"rollback_hold_paths": hold} if hold else {})
    run = system.play("playbooks/rollback-frontend.yml", extra, artifacts)
    ended = time.time()
    print(f"  rollback-frontend to {word}: exit {run.rc}, {ended - began:.1f} s", flush=True)
    if run.rc:
        print(run.stdout.read()[-6000:])
    system.wait_until("requests after the verdict are on record", lambda: traffic.reaches_past(ended))
    failed = [sample for sample in traffic.samples if began <= sample.at and not sample.ok]
    return {
        "samples": list(traffic.samples),
        "events": list(run.events),
        "began": began,
        "ended": ended,
        "verdict": "success" if run.rc == 0 else "failed",
        "checks": [{"name": f"no request failed: {failed[:3]}", "passed": not failed}],
    }


def drill(system: System, traffic: Traffic, artifacts: pathlib.Path) -> dict[str, Any]:
    """The drill of level 1; nothing but the front end may change."""
    say("v1 under traffic: capture a restore point")
    system.must("playbooks/capture-restore-point.yml")
    url = system.web["web1"]
    v1 = manifest(url)

    say("Deploy v2, whose script is missing")
    system.must("drill/deploy.yml", {"deploy_version": "v2"})
    v2 = manifest(url)
    break_build(system, v2["file"])
    missing = {f"/build/{v2['file']}"}
    # Open pages go on asking for what they were given, before, while and after builds change.
    traffic.routes += [name for name in assets(v2) if name not in missing]
    before = system.ids()

    say("Roll the front end back under traffic")
    word = confirmation(system, "playbooks/rollback-frontend.yml")
    observed = roll_back(system, traffic, word, "", artifacts)
    checks = observed["checks"] + served(system, v1, set(), held=False)
    checks.append({"name": "the code is still that of v2", "passed": system.version() == {"v2"}})
    system.must("playbooks/validate-system.yml")

    say("Undo: the build that was live")
    traffic.routes += assets(v1)
    system.must(
        "playbooks/undo-rollback.yml", {"rollback_confirm": confirmation(system, "playbooks/undo-rollback.yml")}
    )
    checks += served(system, v2, missing, held=False)

    say("Roll back again, and hold hybrid campaigns back")
    again = roll_back(system, traffic, word, "hybrid", artifacts)
    checks += again["checks"] + served(system, v1, set(), held=True)

    say("Undo: hybrid campaigns are let in")
    system.must(
        "playbooks/undo-rollback.yml", {"rollback_confirm": confirmation(system, "playbooks/undo-rollback.yml")}
    )
    checks += served(system, v2, missing, held=False)
    lost = sum(len(keys - system.ids()[table]) for table, keys in before.items())
    print(json.dumps({"first_s": observed["ended"] - observed["began"], "again_s": again["ended"] - again["began"]}))
    return {
        **observed,
        "verdict": "success" if observed["verdict"] == again["verdict"] == "success" else "failed",
        "checks": checks,
        "rows_lost": lost,
        "duplicate_sends": len(system.deliveries()["duplicates"]),
        "budget_s": BUDGET_S,
    }
