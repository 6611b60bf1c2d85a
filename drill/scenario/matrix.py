"""What was tried and what came of it: artifacts/faults/matrix.json, and the same for people."""

from __future__ import annotations

import json
from typing import Any

from bench import ARTIFACTS
from inject import Observed
from kills import Matrix


class Report:
    """Collects points and faults while they are tried."""

    def __init__(self, kills: Matrix) -> None:
        """Over the points of ``kills``; faults are appended to ``faults``."""
        self.kills = kills
        self.faults: list[Observed] = []

    def found(self) -> dict[str, Any]:
        """Content of matrix.json."""
        keys = ("verdict", "lost_rows", "exit", "message", "served", "outage_s", "problems")
        return {
            **self.kills.summary(),
            "faults": {fault.name: {key: getattr(fault, key) for key in keys} for fault in self.faults},
        }

    def write(self) -> None:
        """Put it beside the other artefacts."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        (ARTIFACTS / "matrix.json").write_text(json.dumps(self.found(), indent=2) + "\n")

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
