"""Runs inside a container of the drill system and prints what a rollback may change there, as JSON.

``docker exec -i CONTAINER python3 - digest|rows|records``; standard library only, no SSH, changes nothing.
"""

import glob
import hashlib
import json
import os
import subprocess
import sys

ROOT = "/srv/campaign"
TREE = ROOT + "/app"
LIVE = TREE if os.path.isdir(TREE) else ROOT + "/current"
STATE = "/var/lib/rollback"
SESSIONS = "/var/lib/whatsapp/sessions"
UNITS = (
    "nginx",
    "php8.2-fpm",
    "campaign-worker",
    "campaign-scheduler.timer",
    "mariadb",
    "redis-server",
    "pm2-whatsapp",
)
QUEUES = ["campaign_queues:default" + ending for ending in ("", ":reserved", ":delayed", ":notify")]
LENGTH = {"list": "LLEN", "zset": "ZCARD", "set": "SCARD", "hash": "HLEN"}


def output(*argv):
    """What a command prints; empty if it cannot."""
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()


def text(path):
    """Content of a file; empty if it is not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def git(*arguments):
    """What git says of the working tree."""
    return output("git", "--no-optional-locks", "-c", "safe.directory=*", "-C", TREE, *arguments)


def fingerprint(path):
    """Digest, owner and mode of a file; empty if it is not there."""
    if not os.path.exists(path):
        return ""
    status = os.stat(path)
    with open(path, "rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    return f"{digest} {status.st_uid}:{status.st_gid} {status.st_mode & 0o7777:o}"


def release(path):
    """A release by its commit, not its name: one that was checked out again has another name and is as good."""
    base = path.split("/whatsapp-service")[0]
    details = git("rev-parse", "HEAD") if base == TREE else text(f"{base}/REVISION")
    return details[:12] + path[len(base) :] if details else path


def commands():
    """Every process as ``(pid, command line)``."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            line = text(f"/proc/{name}/cmdline").replace("\0", " ")
            if line:
                yield int(name), line


def working_directory(pid):
    """Where a process runs, by release."""
    try:
        return release(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return ""


def services():
    """State of each unit of this host, and the release that the worker runs in."""
    found = {}
    for unit in UNITS:
        shown = output("systemctl", "show", "--property=LoadState,ActiveState,UnitFileState,MainPID", unit)
        fields = dict(line.split("=", 1) for line in shown.splitlines())
        if fields.get("LoadState") in ("loaded", "masked"):
            found[unit] = f"{fields['ActiveState']} {fields['UnitFileState']}"
            if unit == "campaign-worker" and fields["MainPID"] != "0":
                found[unit] += " in " + working_directory(fields["MainPID"])
    return found


def pm2():
    """Processes that pm2 runs: status, and the release that each really runs in."""
    if not os.path.exists("/home/whatsapp/.pm2"):
        return {}
    daemons = [pid for pid, line in commands() if "God Daemon" in line]
    if not daemons:  # asking pm2 would start one
        return {"daemon": "missing"}
    environment = ["env", "HOME=/home/whatsapp", "PM2_HOME=/home/whatsapp/.pm2"]
    listed = output("runuser", "-u", "whatsapp", "--", *environment, "pm2", "jlist")
    processes = json.loads(listed[listed.index("[") :]) if "[" in listed else []
    return {
        process["name"]: f"{process['pm2_env']['status']} in {working_directory(process['pid'])}"
        for process in processes
    }


def sessions():
    """Accounts and who each is linked as; the service rewrites everything else all the time."""
    found = {}
    for path in sorted(glob.glob(SESSIONS + "/*")):
        try:
            with open(path + "/creds.json", encoding="utf-8") as stream:
                found[os.path.basename(path)] = json.load(stream)["me"]["id"]
        except (OSError, ValueError, KeyError, TypeError):
            found[os.path.basename(path)] = "broken"
    return found


def sql(statement):
    """Rows of a query as lists of strings."""
    printed = output("mariadb", "--batch", "--raw", "--skip-column-names", "--execute", statement)
    return [line.split("\t") for line in printed.splitlines()]


def tables():
    """Names of the live tables."""
    return [row[0] for row in sql("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'blazz'")]


def database():
    """Checksum of every live table's rows and of its definition, and schemas that should not be left."""
    found = {}
    for table in sorted(tables()):
        columns = "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT FROM information_schema.COLUMNS"
        definition = sql(f"{columns} WHERE TABLE_SCHEMA = 'blazz' AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION")
        digest = hashlib.sha256(json.dumps(definition).encode()).hexdigest()[:12]
        found[table] = f"{sql(f'CHECKSUM TABLE blazz.{table} EXTENDED')[0][1]} {digest}"
    schemas = [row[0] for row in sql("SHOW DATABASES")]
    return {"tables": found, "leftovers": [name for name in schemas if "__shadow_" in name or "__verify_" in name]}


def queues():
    """How much waits under each key of the queue."""
    found = {}
    for key in QUEUES:
        kind = output("redis-cli", "-n", "0", "TYPE", key)
        found[key] = int(output("redis-cli", "-n", "0", LENGTH[kind], key)) if kind in LENGTH else 0
    return found


def cached_configuration():
    """Digest of what the framework cached; it names the directory of the release, which does not count."""
    live = os.path.realpath(LIVE)
    content = text(live + "/bootstrap/cache/config.php").replace(live, "")
    return hashlib.sha256(content.encode()).hexdigest()[:12] if content else ""


def names(directory):
    """What lies in a directory; catches every file that a killed run forgot."""
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def lease():
    """Whether the lease is free; else who holds it, and the process on the controller."""
    found = json.loads(text(STATE + "/lease.json") or "{}")
    if not found or found.get("ended"):
        return "free"
    return {"holder": f"{found.get('purpose')} {found.get('run_id')}", "process": found.get("process")}


def digest():
    """The whole end state of this host."""
    found = {
        "live": release(os.path.realpath(LIVE)) if os.path.lexists(LIVE) else "",
        "tree": git("status", "--branch", "--porcelain").splitlines() if LIVE == TREE else [],
        "env": {path: fingerprint(path) for path in (ROOT + "/shared/.env", ROOT + "/shared/whatsapp.env")},
        "config": cached_configuration(),
        "services": services(),
        "pm2": pm2(),
        "sessions": sessions(),
        "gate": "closed" if os.path.exists("/etc/nginx/rollback/closed") else "open",
        "places": {path: names(path) for path in (ROOT, ROOT + "/shared", SESSIONS)},
        "strays": glob.glob(ROOT + "/releases/*/.env.rollback"),
    }
    if os.path.isdir("/var/lib/mysql"):
        found.update(database=database(), queues=queues(), lease=lease())
    return found


def rows():
    """Primary keys of every table that has one named id."""
    query = "SELECT TABLE_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'blazz' AND COLUMN_NAME = 'id'"
    return {row[0]: [key[0] for key in sql(f"SELECT id FROM blazz.{row[0]}")] for row in sql(query)}


def records():
    """Run records of the state host, oldest first."""
    return [json.loads(text(path)) for path in sorted(glob.glob(STATE + "/runs/*/run.json"))]


print(json.dumps({"digest": digest, "rows": rows, "records": records}[sys.argv[1]]()))
