"""The drill of a rollback that nobody starts: v2 fails, the real ansible-rulebook notices and answers.

First two of them run, one that watches and one that listens as for Alertmanager. Both are woken up by the same fault;
one rollback may come of it. Then v2 is deployed again and fails again, and it is the real Prometheus and Alertmanager
that notice, before anybody listens.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import monitored
import yaml
from steps import checks_from_outside, lost, quiet, say
from system import ROOT, System
from traffic import Traffic

BUDGET_S = 1800
PORT = 5000
#: Seconds from one check to the next.
INTERVAL_S = 10
FAULTS = {"error_share": 0.2}
RULE = "error_rate"
STATE = "/var/lib/rollback"
INVENTORY = ROOT / "inventories" / "drill"
#: What Alertmanager sends, as far as it matters.
ALERT = {"version": "4", "status": "firing", "groupKey": "drill", "alerts": [{"labels": {"trigger": RULE}}]}


def on_state_host(system: System, command: str) -> str:
    """Output of a shell command on the state host, without SSH."""
    argv = ["docker", "exec", f"{system.name}-data1", "sh", "-c", command]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def rollbacks(system: System) -> list[dict[str, Any]]:
    """Records of all rollbacks."""
    found = on_state_host(system, f"for one in {STATE}/runs/*/run.json; do test ! -e $one || cat $one; echo; done")
    decoder, records, rest = json.JSONDecoder(), [], found.strip()
    while rest:
        record, end = decoder.raw_decode(rest)
        records.append(record)
        rest = rest[end:].strip()
    return [record for record in records if record.get("kind", "rollback") == "rollback"]


def ended(system: System, earlier: Sequence[str] = ()) -> bool:
    """Whether a rollback ended that is not one of the earlier ones."""
    return any(run.get("finished") for run in rollbacks(system) if run["id"] not in earlier)


def acquired(system: System, run: str) -> float:
    """When a run got the lease, Unix time."""
    leases = [json.loads(line) for line in on_state_host(system, f"cat {STATE}/leases.jsonl").splitlines()]
    return min(float(lease["acquired_at"]) for lease in leases if lease["run_id"] == run)


def switch(system: System, faults: dict[str, float], artifacts: pathlib.Path) -> None:
    """Switch these faults of v2 on, and others off."""
    path = artifacts / "faults.json"
    path.write_text(json.dumps({"drill_faults": faults}))
    system.must("drill/faults.yml", {"@" + str(path): ""})


def asked_people(system: System) -> int:
    """How often Alertmanager told people."""
    return int(httpx.get(f"{system.sink}/people", timeout=15, trust_env=False).json()["told"])


def verdict(system: System) -> dict[str, Any]:
    """What the last check said of the rule: ``{verdict, since, at}``, empty before the first one."""
    known = json.loads(on_state_host(system, f"cat {STATE}/triggers.json 2>/dev/null || echo '{{}}'"))
    own: list[dict[str, Any]] = list(known.get("verdicts", {}).get(RULE, {}).values())
    return max(own, key=lambda one: one["at"], default={})


def window_s() -> float:
    """How long the fault has to last, by the drill's own inventory."""
    declared = yaml.safe_load((INVENTORY / "group_vars" / "all" / "triggers.yml").read_text())
    return float(next(rule["for_s"] for rule in declared["triggers_rules"] if rule["name"] == RULE))


@contextlib.contextmanager
def rulebook(system: System, name: str, artifacts: pathlib.Path) -> Iterator[tuple[Any, pathlib.Path]]:
    """The real ansible-rulebook beside this program; gives its process and what it prints."""
    variables = system.state / "watch.yml"
    variables.touch(mode=0o600)
    settings: dict[str, Any] = {"project": str(ROOT), "interval_s": INTERVAL_S, "minutes": 2}
    settings |= {"webhook_host": f"{system.network}.1", "webhook_port": PORT}
    variables.write_text(yaml.safe_dump({**settings, "webhook_token": system.secret("eda_webhook_token")}))
    said = {"ANSIBLE_INVENTORY": str(INVENTORY), "DRILL_STATE": str(system.state.parent), "ANSIBLE_NOCOLOR": "1"}
    argv = ["ansible-rulebook", "--rulebook", f"campaign.rollback.{name}", "--vars", str(variables)]
    log = artifacts / f"{name}.log"
    # Without the option Java takes the signals, and nothing is ended in order.
    environment = {**os.environ, **said, "JAVA_TOOL_OPTIONS": "-Xrs"}
    with open(log, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield process, log
        finally:
            process.kill()
            process.wait()


def send(system: System, token: str) -> int:
    """Status with which the webhook answers an alert, 0 if it does not listen."""
    url = f"http://{system.network}.1:{PORT}/endpoint"
    with contextlib.suppress(httpx.ConnectError):
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(url, json=ALERT, headers=headers, timeout=30, trust_env=False).status_code
    return 0


def phases(run: str) -> dict[str, float]:
    """Seconds of each phase, by the run's own report."""
    timeline = json.loads((ROOT / "artifacts" / "runs" / run / "report.json").read_text())["timeline"]
    ends = [entry["at"] for entry in timeline[1:]]
    return {entry["phase"]: round(end - entry["at"], 2) for entry, end in zip(timeline, ends)}


def notice(system: System, traffic: Traffic, began: float, watch: Any) -> dict[str, float]:
    """Wait until the rule fires: when the first request failed, when it fired, the longest time between checks."""
    seen: list[float] = []

    def fired() -> bool:
        if watch.poll() is not None:
            sys.exit("The watch ended before anything fired.")
        last = verdict(system)
        if last and (not seen or last["at"] > seen[-1]):
            seen.append(last["at"])
        return bool(last) and last["verdict"] == "fired"

    system.wait_until(f"{RULE} fires", fired, 300)
    first = min(sample.at for sample in traffic.samples if sample.at >= began and not sample.ok)
    return {"fault": first, "fired": seen[-1], "sample_s": max(b - a for a, b in zip(seen, seen[1:]))}


def answered(system: System, traffic: Traffic, artifacts: pathlib.Path) -> dict[str, Any]:
    """From the fault to the end of the watch, with nobody's help."""
    token = system.secret("eda_webhook_token")
    with (
        rulebook(system, "watch", artifacts) as (watch, log),
        rulebook(system, "alertmanager", artifacts) as (ears, other),
    ):
        system.wait_until("the healthy system is checked", lambda: verdict(system).get("verdict") == "ok")
        system.wait_until("the webhook listens", lambda: send(system, "wrong") == 401)
        began = time.time()
        switch(system, FAULTS, artifacts)
        before = system.ids()
        times = notice(system, traffic, began, watch)
        heard = send(system, token)
        say("It fired; now the rulebooks are alone")
        system.wait_until("a rollback ended", lambda: ended(system), BUDGET_S)
        finished = time.time()
        (run,) = rollbacks(system)
        if run["state"] != "success":
            sys.exit(f"The rollback ended {run['state']}: {run.get('failures')}")
        samples = list(traffic.samples)
        system.wait_until("the watch ends by itself", lambda: watch.poll() is not None, 300)
        settled = rollbacks(system)
        ears.terminate()
        ears.wait(60)
    said = " ".join((log.read_text() + other.read_text()).split())
    refused = said.count("no rollback was started: ") + said.count("held by another run; nothing was touched. Found")
    started = acquired(system, settled[0]["id"])
    checks = {
        "one rollback came of two voices": len(settled) == 1,
        "the other one says that it started nothing": refused >= 1,
        "the webhook refuses a wrong token and takes the right one": heard == 200,
        "the level is the one that the rule asks for": settled[0]["level"] == "partial",
        f"the run says why: {settled[0]['reason']}": settled[0]["reason"].startswith(RULE),
        "the watch ended by itself": watch.returncode == 0,
        "the listener stopped when it was told to": ears.returncode == 0,
        "it was noticed within the rule's window and one sample": times["fired"] - times["fault"]
        <= window_s() + times["sample_s"],
    }
    return {
        "samples": samples,
        "events": [],
        "phases": phases(settled[0]["id"]),
        "began": started,
        "ended": finished,
        "verdict": "success" if settled[0]["state"] == "success" else "failed",
        "rows_lost": lost({**before, "campaigns": before["campaigns"] | set(traffic.acknowledged)}, system.ids()),
        "detection": {
            "fault_to_fired_s": round(times["fired"] - times["fault"], 1),
            "window_s": window_s(),
            "sample_s": round(times["sample_s"], 1),
            "fired_to_run_s": round(started - times["fired"], 1),
            "fault_to_success_s": round(finished - times["fault"], 1),
        },
        "checks": [{"name": name, "passed": passed} for name, passed in checks.items()],
    }


def alerted(system: System, traffic: Traffic, artifacts: pathlib.Path) -> tuple[dict[str, bool], dict[str, float]]:
    """What Prometheus and Alertmanager start, and its times; they notice before anybody listens."""
    earlier = [run["id"] for run in rollbacks(system)]
    with monitored.checked(system, artifacts):
        system.wait_until("the cool-down is over", lambda: verdict(system).get("verdict") == "ok", 300)
        began = time.time()
        switch(system, FAULTS, artifacts)
        system.wait_until("Alertmanager has an alert", lambda: monitored.alerted(system, RULE), 300)
        told = time.time()
        fault = min(sample.at for sample in traffic.samples if sample.at >= began and not sample.ok)
        system.wait_until(f"{RULE} fires", lambda: verdict(system).get("verdict") == "fired", 120)
        checks = monitored.scraped(system) | monitored.seen(system, RULE, artifacts)
        system.wait_until("people are told as well", lambda: asked_people(system))
        listening = time.time()
        say("Alertmanager has it; now somebody listens")
        with rulebook(system, "alertmanager", artifacts) as (ears, _log):
            system.wait_until("a rollback ended", lambda: ended(system, earlier), BUDGET_S)
            ears.terminate()
            ears.wait(60)
    runs = [run for run in rollbacks(system) if run["id"] not in earlier]
    checks["one rollback came of the alert, of the level that the rule asks for"] = [
        (run["level"], run["state"]) for run in runs
    ] == [("partial", "success")]
    return checks, {
        "fault_to_alert_s": round(told - fault, 1),
        "listening_to_run_s": round(acquired(system, runs[0]["id"]) - listening, 1),
    }


def drill(system: System, traffic: Traffic, artifacts: pathlib.Path) -> dict[str, Any]:
    """The drill of what starts by itself."""
    say("v1 under traffic: capture a restore point")
    system.wait_until(
        "campaigns are written and sent", lambda: len(traffic.acknowledged) >= 4 and system.deliveries()["messages"]
    )
    system.must("playbooks/capture-restore-point.yml")

    say("Deploy v2, watch it, switch its fault on")
    system.must("drill/deploy.yml", {"deploy_version": "v2"})
    observed = answered(system, traffic, artifacts)

    say("Look at what came of it")
    system.wait_until("everything queued is sent", lambda: quiet(system))
    system.must("playbooks/validate-system.yml")
    checks = checks_from_outside(system, "v1")

    say("Capture again and deploy v2 again; it fails again, and Prometheus and Alertmanager notice")
    switch(system, {}, artifacts)
    # To a restore point to which a rollback went by itself already none goes by itself once more.
    system.must("playbooks/capture-restore-point.yml")
    system.must("drill/deploy.yml", {"deploy_version": "v2"})
    found, times = alerted(system, traffic, artifacts)
    system.wait_until("everything queued is sent", lambda: quiet(system))
    system.must("playbooks/validate-system.yml")
    checks += [{"name": name, "passed": passed} for name, passed in found.items()] + checks_from_outside(system, "v1")
    return {
        **observed,
        "detection": observed["detection"] | times,
        "checks": observed["checks"] + checks,
        "duplicate_sends": len(system.deliveries()["duplicates"]),
        "budget_s": BUDGET_S,
    }
