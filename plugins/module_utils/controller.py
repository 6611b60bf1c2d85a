"""Which process of which controller a run is, and whether such a process is still there."""

from __future__ import annotations

import multiprocessing
import os
import socket
from typing import Any


def started(pid: int) -> str:
    """When a process was started, in clock ticks since the boot; empty if there is none or it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(") ")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def place() -> dict[str, str]:
    """Where process numbers mean something: host, boot and PID namespace. Empty without /proc."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as stream:
            boot = stream.read().strip()
        return {"host": socket.gethostname(), "boot": boot, "namespace": os.readlink("/proc/self/ns/pid")}
    except OSError:
        return {}


def identity() -> dict[str, Any]:
    """The ansible-playbook process that this code runs for, itself or in one of its workers."""
    parent = multiprocessing.parent_process()
    pid = parent.pid if parent is not None and parent.pid else os.getpid()
    where = place()
    return {**where, "pid": pid, "started": started(pid)} if where else {}


def is_gone(process: dict[str, Any]) -> bool:
    """Whether the process is known to have ended; one of another controller is not known to."""
    where = place()
    if not process or not where or process.get("host") != where["host"]:
        return False
    if process.get("boot") != where["boot"]:
        return True
    return process.get("namespace") == where["namespace"] and started(int(process["pid"])) != process.get("started")
