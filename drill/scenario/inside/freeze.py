"""Runs inside a container: freezes what Ansible runs here in the middle of a change, then lets it live or die.

``docker exec -i CONTAINER python3 -c SOURCE process REGEX`` or ``... journal COMPONENT``. Prints ``ready``, and
``frozen`` once the condition holds; then reads ``thaw`` or ``kill`` from standard input and prints ``done``. Meanwhile
the controller can be killed without having heard of anything.
"""

import glob
import json
import os
import re
import select
import signal
import sys
import time

#: What every command line of a module has: sudo's mark with pipelining, file names without it or in the background.
MODULE = re.compile(rb"BECOME-SUCCESS-|AnsiballZ_|ansible-tmp-|async_wrapper")
#: A daemon started by a module is a service of the host from then on.
SERVICE = re.compile(rb"PM2|God Daemon")


def processes():
    """``{pid: (parent, command line)}`` of everything in this container."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/stat", "rb") as stream:
                    parent = int(stream.read().rpartition(b")")[2].split()[1])
                with open(f"/proc/{name}/cmdline", "rb") as stream:
                    found[int(name)] = (parent, stream.read().replace(b"\0", b" "))
            except OSError:
                continue  # it ended meanwhile
    return found


def of_modules():
    """Processes that Ansible runs here, with their children: ``{pid: command line}``."""
    known = processes()
    chosen = {pid for pid, (_parent, line) in known.items() if MODULE.search(line)}
    grown = True
    while grown:
        more = {pid for pid, (parent, line) in known.items() if parent in chosen and not SERVICE.search(line)} - chosen
        chosen |= more
        grown = bool(more)
    return {pid: known[pid][1] for pid in chosen}


def signal_all(pids, number):
    """Send a signal to processes, some of which may be gone."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def running(pattern):
    """Whether a module runs a program whose command line matches."""
    wanted = re.compile(pattern.encode())
    return any(wanted.search(line) for line in of_modules().values())


def announced(component, since):
    """Whether a change of the component was announced since then and is not done."""
    for path in glob.glob("/var/lib/rollback/runs/*/journal.jsonl"):
        if os.stat(path).st_mtime < since:
            continue
        states = {}
        with open(path, encoding="utf-8", errors="replace") as stream:
            for raw in stream:
                try:
                    line = json.loads(raw)
                except ValueError:
                    continue  # being written
                states.setdefault(line["seq"], [line.get("component"), line.get("at")]).append(line["state"])
        if any(found[0] == component and found[-1] == "begin" for found in states.values()):
            return True
    return False


def freeze():
    """Stop every process of a module; more than one round, because they start others."""
    frozen = set()
    while True:
        more = set(of_modules()) - frozen
        if not more:
            return frozen
        signal_all(more, signal.SIGSTOP)
        frozen |= more


def main():
    """Wait, freeze, obey."""
    kind, wanted = sys.argv[1:]
    since = time.time()
    print("ready", flush=True)
    while not (running(wanted) if kind == "process" else announced(wanted, since)):
        if select.select([sys.stdin], [], [], 0.0005)[0]:
            return  # the other side has given up
    frozen = freeze()
    print("frozen", flush=True)
    order = sys.stdin.readline().strip()
    signal_all(frozen, signal.SIGKILL if order == "kill" else signal.SIGCONT)
    print("done", flush=True)


main()
