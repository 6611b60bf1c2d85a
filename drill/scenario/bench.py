"""A drill system that is brought into one of two known states, over and over.

State A is release v2 with its data; B is the same system rolled back to release v1.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any

import digest
import httpx
from controlled import ROOT, Controlled, wait_until
from system import System

ARTIFACTS = ROOT / "artifacts" / "faults"
HYBRID_CAMPAIGNS = 3
IN_PLACE = ("open", "switching", "switched", "success", "failed")


class Bench:
    """Knows the two states, and brings the system into either."""

    def __init__(self, system: System | None = None) -> None:
        """Use the system that DRILL_NAME names; :meth:`prepare` makes the states known."""
        self.system = system or System()
        self.known: dict[str, Any] = {}
        self.path = self.system.state / "bench.json"
        if self.path.exists():
            self.known = json.loads(self.path.read_text())

    # -- what there is ---------------------------------------------------------------------------------------------

    def on(self, host: str, command: str) -> str:
        """Output of a shell command in a container; raises CalledProcessError if it fails."""
        argv = ["docker", "exec", self.container(host), "bash", "-euc", command]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout.strip()

    def container(self, host: str) -> str:
        """Name of a host's container."""
        return f"{self.system.name}-{host}"

    def records(self) -> list[dict[str, Any]]:
        """Run records, oldest first."""
        found: list[dict[str, Any]] = digest.probe(self.container("data1"), "records")
        return found

    def rows(self) -> dict[str, list[str]]:
        """Keys of the live rows, by table."""
        found: dict[str, list[str]] = digest.probe(self.container("data1"), "rows")
        return found

    def state(self, allowed: str = "AB", seconds: float = 20.0) -> tuple[str, list[str]]:
        """Which of the allowed states the system is in, else what differs."""
        return digest.settle(self.system.name, {label: self.known[label] for label in allowed}, seconds)

    def served(self) -> bool:
        """Whether every web host serves users."""
        try:
            answers = [httpx.get(f"{url}/api/health", timeout=5, trust_env=False) for url in self.system.web.values()]
        except httpx.HTTPError:
            return False
        return all(answer.status_code == 200 for answer in answers)

    def in_place(self) -> str:
        """Newest rollback that is or may be in place, as the undo would choose it; empty if there is none."""
        for record in reversed(self.records()):
            untouched = record["state"] == "failed" and not record.get("switched", True)
            if record.get("kind", "rollback") == "rollback" and record["state"] in IN_PLACE and not untouched:
                return str(record["id"])
        return ""

    def unfinished(self) -> bool:
        """Whether a run is on record that did not come to its end."""
        return any(
            record["state"] in ("open", "switching", "switched") or record.get("undoing") for record in self.records()
        )

    # -- runs ------------------------------------------------------------------------------------------------------

    def variables(self, playbook: str) -> dict[str, Any]:
        """What an operator passes to a playbook after reading the plan."""
        environment = "drill"
        if playbook == "rollback-full":
            point = self.known["point"]
            return {"rollback_confirm": f"{environment}:{point}", "rollback_target": point, "rollback_reason": "faults"}
        if playbook == "undo-rollback":
            run = self.in_place()
            return {"rollback_confirm": f"{environment}:{run}", **({"rollback_run": run} if run else {})}
        if playbook == "capture-restore-point":
            # Or no run would load anything that a fault could meet.
            return {"rollback_database_keep_standby": False}
        return {}

    def start(
        self,
        playbook: str,
        stops: list[str] | None = None,
        extra: dict[str, Any] | None = None,
        kept: str | pathlib.Path = "",
    ) -> Controlled:
        """Start a playbook of the collection; ``extra`` goes over what an operator would pass."""
        variables = {**self.variables(playbook), **(extra or {})}
        return Controlled(f"playbooks/{playbook}.yml", variables, stops, str(kept))

    def complete(self, playbook: str, extra: dict[str, Any] | None = None, kept: str | pathlib.Path = "") -> int:
        """Run a playbook to its end; returns its exit status."""
        with self.start(playbook, None, extra, kept) as run:
            return run.finish()

    def must(self, playbook: str, state: str = "") -> list[dict[str, Any]]:
        """Run a playbook that has to succeed and lead to ``state``; returns its events. Raises RuntimeError."""
        kept = ARTIFACTS / "clean" / f"{playbook}.log"
        with self.start(playbook, None, None, kept) as run:
            status, events = run.finish(), run.events()
        found, different = self.state(state) if state else ("", [])
        if status or found != state:
            raise RuntimeError(f"a clean {playbook} ended with {status}, see {kept}; {'; '.join(different)}")
        return events

    # -- the two states --------------------------------------------------------------------------------------------

    def fresh(self) -> None:
        """Empty containers, release v1 and its data."""
        subprocess.run(["drill/bin/up", "--fresh"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    def prepare(self) -> None:
        """From a system that runs v1 or v2 to state A, with both states and complete runs on record.

        Without traffic nothing writes but this, so both states stay as they are for good.
        """
        if self.system.version() == {"v1"}:
            self.must("capture-restore-point")
            self._deploy_v2()
        self._write_hybrid_campaigns()
        self._quiet()
        point = self.on("data1", "ls /var/lib/rollback/restore_points | tail -n 1")
        manifest = json.loads(self.on("data1", f"cat /var/lib/rollback/restore_points/{point}/manifest.json"))
        self.known = {"point": point, "commit": manifest["application"]["commit"], "rows": {"A": self.rows()}}
        self.known["A"] = digest.take(self.system.name)
        events = self.must("rollback-full")
        self._quiet()
        self.known["B"] = digest.take(self.system.name)
        self.known["rows"]["B"] = self.rows()
        same = digest.differences(self.known["A"]["data1"]["database"], self.known["B"]["data1"]["database"])
        if not same:
            raise RuntimeError("the two states cannot be told apart")
        self.known["recorded"] = {"rollback-full": events, "undo-rollback": self.must("undo-rollback", "A")}
        # The restore point that this makes is never gone back to: rollback_target names the first one.
        self.known["recorded"]["capture-restore-point"] = self.must("capture-restore-point", "A")
        self.save()

    def _deploy_v2(self) -> None:
        with Controlled("drill/deploy.yml", {"deploy_version": "v2"}) as run:
            if run.finish():
                raise RuntimeError(f"v2 cannot be deployed: {run.output()[-2000:]}")

    def save(self) -> None:
        """Keep what is known, so that a single point can be tried later."""
        self.path.write_text(json.dumps(self.known))

    def _write_hybrid_campaigns(self) -> None:
        headers = {"Authorization": f"Bearer {self.system.secret('api_token')}", "Accept": "application/json"}
        choice = {
            "template_id": self.system.query("SELECT MIN(id) FROM templates")[0][0],
            "group_id": self.system.query("SELECT id FROM contact_groups WHERE name = 'Pilot'")[0][0],
        }
        for number in range(HYBRID_CAMPAIGNS):
            answer = httpx.post(
                f"{self.system.web['web1']}/api/campaigns/hybrid",
                json={"name": f"hybrid {number}", **choice},
                headers=headers,
                timeout=30,
                trust_env=False,
            )
            answer.raise_for_status()

    def _quiet(self) -> None:
        unsent = "SELECT 1 FROM campaign_logs WHERE status IN ('pending', 'sending') LIMIT 1"
        wait_until("everything queued is sent", lambda: not self.system.query(unsent), 120)

        def drained() -> bool:
            return not any(digest.probe(self.container("data1"), "digest")["queues"].values())

        wait_until("the queue is empty", drained, 120)

    def bring(self, wanted: str) -> None:
        """Into state A or B, from the other or from whatever a failure left; the last resort is a system made anew."""
        found, _different = self.state("AB", 5)
        if found == wanted:
            return
        if found:
            self.must("rollback-full" if wanted == "B" else "undo-rollback", wanted)
            return
        for playbook in ("resume-rollback", "undo-rollback"):
            if (ROOT / "playbooks" / f"{playbook}.yml").exists():
                self.complete(playbook, kept=ARTIFACTS / "mending" / f"{playbook}.log")
            if self.state("AB", 5)[0]:
                self.bring(wanted)
                return
        print("  the system cannot be mended by the collection's own means: made anew", flush=True)
        recorded = self.known.get("recorded", {})
        self.fresh()
        self.prepare()
        # Points are chosen by now; what a fresh system records must not lose those of the resume.
        self.known["recorded"] = {**recorded, **self.known["recorded"]}
        self.save()
        self.bring(wanted)
