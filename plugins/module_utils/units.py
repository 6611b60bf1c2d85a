"""systemd units as a rollback sees them: active or not, and which directory their main process runs in."""

from __future__ import annotations

from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

PROPERTIES = ("Id", "LoadState", "ActiveState", "MainPID")


def argv(units: list[str]) -> list[str]:
    """One call that asks for all units."""
    return ["systemctl", "show", "--property=" + ",".join(PROPERTIES), *units]


def parse(output: str, units: list[str]) -> dict[str, dict[str, Any]]:
    """``{unit: {exists, active, pid}}`` from the blocks that ``systemctl show`` prints in the order asked."""
    blocks = output.strip().split("\n\n")
    if len(blocks) != len(units):
        # Without this, a unit that systemd did not speak of would count as sound.
        raise RollbackError(
            "systemd did not answer for every unit",
            found=f"{len(blocks)} of {len(units)}",
            next_step=" ".join(argv(units)),
        )
    found = {}
    for unit, block in zip(units, blocks):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[unit] = {
            "exists": values.get("LoadState") == "loaded",
            "active": values.get("ActiveState") == "active",
            "pid": int(values.get("MainPID") or 0),
        }
    return found
