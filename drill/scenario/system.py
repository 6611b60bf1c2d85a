"""The drill system seen from outside: addresses, secrets, playbooks, rows and deliveries."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import ansible_runner
import httpx
import leaks
import pymysql

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = ("users", "templates", "contact_groups", "contacts", "campaigns", "campaign_logs")


class System:
    """One drill system, named by DRILL_NAME and DRILL_NETWORK like everywhere else."""

    def __init__(self) -> None:
        """Find the system that the environment names."""
        self.name = os.environ.get("DRILL_NAME", "drill")
        self.network = os.environ.get("DRILL_NETWORK", "172.30.77")
        self.state = ROOT / "drill" / ".state" / self.name
        self.web = {"web1": f"http://{self.network}.11", "web2": f"http://{self.network}.12"}
        self.sink = f"http://{self.network}.41:8080"

    def secret(self, name: str) -> str:
        """A secret that was made for this system."""
        return (self.state / "secrets" / name).read_text().strip()

    def commit(self, version: str) -> str:
        """Commit of a release in the application's history."""
        argv = ["git", "ls-remote", str(self.state / "origin.bundle"), f"refs/tags/{version}"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[0]

    def leaks(self, directory: pathlib.Path) -> list[str]:
        """Files below ``directory`` that hold a secret of this system, with what was found."""
        secrets = self.state / "secrets"
        detector = leaks.Detector(leaks.secrets_in(secrets))
        # What was written before the secrets were made cannot hold them.
        born = min(path.stat().st_mtime for path in secrets.iterdir())
        return [f"{path}: {found}" for path, found in detector.find_in_files(directory, born).items()]

    def play(self, playbook: str, extra: dict[str, str] | None = None, artifacts: pathlib.Path | None = None) -> Any:
        """Run a playbook through ansible-runner; returns the runner with ``rc`` and ``events``."""
        arguments = " ".join(f"-e {key}={value}".rstrip("=") for key, value in (extra or {}).items())
        private = artifacts or ROOT / "artifacts" / "drill" / "runner"
        private.mkdir(parents=True, exist_ok=True)
        return ansible_runner.run(
            private_data_dir=str(private),
            project_dir=str(ROOT),
            playbook=playbook,
            inventory=str(ROOT / "inventories" / "drill"),
            cmdline=arguments or None,
            quiet=True,
        )

    def must(self, playbook: str, extra: dict[str, str] | None = None) -> Any:
        """Run a playbook that has to succeed; its output is shown if it does not."""
        began = time.time()
        run = self.play(playbook, extra)
        print(f"  {playbook:<42} {time.time() - began:6.1f} s  exit {run.rc}", flush=True)
        if run.rc:
            sys.exit(run.stdout.read()[-6000:])
        return run

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the live schema, over the network as the application's user."""
        connection = pymysql.connect(
            host=f"{self.network}.21", user="campaign", password=self.secret("database_password"), database="blazz"
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def ids(self) -> dict[str, set[int]]:
        """Primary keys of every business table."""
        return {table: {int(row[0]) for row in self.query(f"SELECT id FROM {table}")} for table in TABLES}

    def deliveries(self) -> dict[str, Any]:
        """What the sink received: ``{messages, deliveries, duplicates}``."""
        answer = httpx.get(f"{self.sink}/counts", timeout=30, trust_env=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def wait_until(self, what: str, condition: Any, seconds: float = 120) -> None:
        """Wait for a condition, at most ``seconds``; names it if it does not come true."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                sys.exit(f"Waited {seconds:.0f} s in vain: {what}")
            time.sleep(0.2)

    def version(self) -> set[str]:
        """Versions that the web hosts say they serve."""
        answers = [httpx.get(f"{url}/api/health", timeout=15, trust_env=False) for url in self.web.values()]
        return {answer.json().get("version", "") if answer.status_code == 200 else "" for answer in answers}
