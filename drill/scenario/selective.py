"""The drill of a selective rollback: one function is broken, and everything else has to go on untouched."""

from __future__ import annotations

import pathlib
import re
import subprocess
import time
from typing import Any

import httpx
from steps import CHECKOUT, LIVE, checks_from_outside, confirmation, lost, quiet, say
from system import System
from traffic import Traffic

ROUTES = ("/api/whatsapp/sessions",)
#: Functions by what visitors do with them.
FUNCTIONS = {
    "whatsapp": ["GET /api/whatsapp/sessions"],
    "campaigns": ["GET /api/campaigns", "POST /api/campaigns"],
    "pages": ["GET /", "GET /login"],
    "health": ["GET /api/health"],
}
BUDGET_S = 900
PLAYBOOK = "playbooks/rollback-selective.yml"
FILES = {"web1": ".env", "web2": ".env", "wa1": "whatsapp.env"}
GIT = f"git -c safe.directory='*' --git-dir /srv/campaign/{'app/.git' if CHECKOUT else 'repo.git'}"
#: Live commit of a host.
COMMIT = f"{GIT} rev-parse HEAD" if CHECKOUT else f"cat {LIVE}/REVISION"


def on(system: System, host: str, command: str) -> str:
    """Output of a shell command in a container, without SSH."""
    argv = ["docker", "exec", f"{system.name}-{host}", "bash", "-c", command]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def works(system: System) -> bool:
    """Whether the function answers on every web host."""
    headers = {"Authorization": f"Bearer {system.secret('api_token')}"}
    answers = [httpx.get(url + ROUTES[0], headers=headers, timeout=15, trust_env=False) for url in system.web.values()]
    return all(answer.status_code == 200 for answer in answers)


def state(system: System) -> dict[str, list[str]]:
    """Digest of each environment file, live commit, and content of the broken file, by host."""
    broken = f"{COMMIT} && sha256sum < {LIVE}/app/Http/Controllers/Api/WhatsAppController.php"
    return {
        host: on(system, host, f"sha256sum < /srv/campaign/shared/{file} && {broken}").splitlines()
        for host, file in FILES.items()
    }


def processes(system: System) -> dict[str, str]:
    """Main processes that are no part of the function."""
    show = "systemctl show --value --property=MainPID nginx php8.2-fpm"
    return {host: on(system, host, show) for host in system.web}


def checks_after(system: System, broken: dict[str, list[str]], run: str) -> list[dict[str, Any]]:
    """What has to be so once the function is back: its own parts, and nothing else."""
    found = {"the function works on every web host": works(system)}
    after = state(system)
    commits = {parts[1] for parts in after.values()}
    found["every host runs the same new commit"] = len(commits) == 1
    found["the new commit is on top of the live one"] = (
        all(on(system, host, f"{GIT} rev-parse refs/rollback/{run}^") == broken[host][1] for host in FILES)
        if run
        else False
    )
    for host, file in FILES.items():
        path = f"/srv/campaign/shared/{file}"
        found[f"{host} keeps newer keys"] = on(system, host, f"grep -c ^NEWER_FEATURE=kept {path}") == "1"
        found[f"{host} has the right key again"] = on(system, host, f"grep -c wrong.invalid {path} || true") == "0"
    found["the hybrid keys of v2 are still there"] = (
        on(system, "web1", "grep -c ^HYBRID_ /srv/campaign/shared/.env") == "2"
    )
    return [{"name": name, "passed": passed} for name, passed in found.items()] + checks_from_outside(system, "v2")


def roll_back(system: System, traffic: Traffic, word: str, artifacts: pathlib.Path) -> dict[str, Any]:
    """One selective rollback, observed from outside."""
    before, broken, running = system.ids(), state(system), processes(system)
    began = time.time()
    run = system.play(
        PLAYBOOK,
        {"rollback_confirm": word, "rollback_target": word.split(":")[1], "rollback_reason": "drill"},
        artifacts,
    )
    ended = time.time()
    print(f"  rollback-selective to {word}: exit {run.rc}, {ended - began:.1f} s", flush=True)
    printed = run.stdout.read()
    if run.rc:
        print(printed[-6000:])
    name = re.search(r"Run (\d{8}T\d{6}Z)", printed)
    samples = list(traffic.samples)
    system.wait_until("everything queued is sent", lambda: quiet(system))
    untouched = [
        sample
        for sample in samples
        if began <= sample.at <= ended and not sample.ok and sample.route not in FUNCTIONS["whatsapp"]
    ]
    checks = checks_after(system, broken, name[1] if name else "")
    checks += [
        {"name": f"untouched functions failed no request: {untouched[:3]}", "passed": not untouched},
        {"name": "no process of other functions was replaced", "passed": processes(system) == running},
    ]
    return {
        "samples": samples,
        "events": list(run.events),
        "began": began,
        "ended": ended,
        "verdict": "success" if run.rc == 0 else "failed",
        "rows_lost": lost({**before, "campaigns": before["campaigns"] | set(traffic.acknowledged)}, system.ids()),
        "duplicate_sends": len(system.deliveries()["duplicates"]),
        "checks": checks,
        "functions": FUNCTIONS,
        "budget_s": BUDGET_S,
    }


def drill(system: System, traffic: Traffic, artifacts: pathlib.Path) -> dict[str, Any]:
    """Break one function, restore it, undo, restore it again."""
    traffic.routes += ROUTES
    say("v1 under traffic: capture a restore point")
    system.wait_until(
        "campaigns are written and sent", lambda: len(traffic.acknowledged) >= 4 and system.deliveries()["messages"]
    )
    system.must("playbooks/capture-restore-point.yml")

    say("Deploy v2, then break the function whatsapp of it")
    system.must("drill/deploy.yml", {"deploy_version": "v2"})
    system.must("drill/break-function.yml")
    system.wait_until("the function is broken", lambda: not works(system))
    broken = state(system)

    say("Roll the function back under traffic")
    word = confirmation(system, PLAYBOOK)
    observed = roll_back(system, traffic, word, artifacts)
    found = [{"name": "the plan names the broken function and no other", "passed": word.endswith(":whatsapp")}]

    say("Undo: v2 as it was broken")
    undo = "playbooks/undo-rollback.yml"
    run = system.play(undo, {"rollback_confirm": confirmation(system, undo)})
    text = re.sub(r"\s+", " ", run.stdout.read())
    # It gives back exactly what was there, and says that this does not pass its validation.
    found.append({"name": "the undo says what it gave back", "passed": "does NOT pass its validation" in text})
    found.append({"name": "every file, key and commit is as before", "passed": state(system) == broken})

    say("Roll back again")
    again = roll_back(system, traffic, word, artifacts)
    observed["checks"] = observed["checks"] + found + again["checks"]
    observed["rows_lost"] = max(observed["rows_lost"], again["rows_lost"])
    observed["duplicate_sends"] = again["duplicate_sends"]
    if again["verdict"] != "success":
        observed["verdict"] = "failed"
    return observed
