"""What was tried and what came of it: artifacts/faults/matrix.json, and the same for people."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from typing import Any

from bench import ARTIFACTS
from controlled import ROOT
from inject import Observed
from kills import Matrix, Outcome

#: What the outcomes are true of.
SOURCES = ("drill", "inventories", "playbooks", "plugins", "roles")


def sources() -> str:
    """Digest of the sources as they are, committed or not."""
    told = [
        subprocess.run(["git", *command, *SOURCES], cwd=ROOT, capture_output=True, check=True).stdout
        for command in (["ls-tree", "HEAD"], ["diff", "HEAD"])
    ]
    return hashlib.sha256(b"".join(told)).hexdigest()


class Report:
    """Collects points and faults while they are tried, and keeps them, so that a long trial may be interrupted."""

    def __init__(self, kills: Matrix) -> None:
        """Over the points of ``kills``; faults are told with :meth:`add`."""
        self.kills = kills
        self.faults: list[Observed] = []
        self.ended = False
        self.sources = sources()
        self.path = ARTIFACTS / "matrix.json"
        kills.told = self.write

    def take_up(self) -> None:
        """Go on where an earlier trial of the same sources was interrupted."""
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        if kept.get("ended") is False and kept.get("sources") == self.sources:
            self.kills.outcomes += [Outcome(**fields) for fields in kept["tried"]]
            self.faults += [Observed(name=name, **fields) for name, fields in kept["faults"].items()]
            print(f"{len(self.kills.outcomes)} points and {len(self.faults)} faults were tried before", flush=True)

    def known(self, name: str) -> Observed | None:
        """What came of a fault before the interruption."""
        return next((fault for fault in self.faults if fault.name == name), None)

    def add(self, fault: Observed) -> None:
        """One more fault."""
        self.faults.append(fault)
        self.write()

    def found(self) -> dict[str, Any]:
        """Content of matrix.json."""
        keys = ("verdict", "lost_rows", "exit", "message", "served", "outage_s", "problems")
        return {
            "sources": self.sources,
            "ended": self.ended,
            **self.kills.summary(),
            "tried": [dataclasses.asdict(outcome) for outcome in self.kills.outcomes],
            "faults": {fault.name: {key: getattr(fault, key) for key in keys} for fault in self.faults},
        }

    def write(self) -> None:
        """Put it beside the other artefacts."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.found(), indent=2) + "\n")

    def text(self) -> str:
        """The matrix as a table."""
        found = self.found()
        lines = ["", "-" * 100]
        lines += [f"{key:<44} {found[key]}" for key in ("points", "boundaries", "resumed", "undone", "failed")]
        for failure in found["failures"]:
            lines.append(f"FAILED  {failure['point']} -> {failure['recovery']}: {'; '.join(failure['problems'])[:300]}")
        for name, fault in found["faults"].items():
            mark = "FAILED" if fault["problems"] else "ok"
            lines.append(
                f"{name:<36} {mark:<7} {fault['verdict']:<11} exit {fault['exit']} lost {fault['lost_rows']}"
                f" outage {fault['outage_s']} s"
            )
        return "\n".join([*lines, "-" * 100])
