"""What the tests of this scenario share: the helpers of the default one, and playbooks that answer."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess

import httpx
from system import System
from test_refusals import STATE, digests, on, refused

ROOT = pathlib.Path(__file__).resolve().parents[3]
SYSTEM = System()
HOSTS = {"web1": ".env", "web2": ".env", "wa1": "whatsapp.env"}
BROKEN = "app/Http/Controllers/Api/WhatsAppController.php"

__all__ = [
    "BROKEN",
    "HOSTS",
    "STATE",
    "SYSTEM",
    "declared",
    "digests",
    "on",
    "play",
    "point",
    "refused",
    "sessions",
    "shown",
]


def play(playbook, *arguments):
    """Exit status and output of a playbook, on one line."""
    argv = ["ansible-playbook", "-i", "inventories/drill", f"playbooks/{playbook}.yml", *arguments]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return run.returncode, re.sub(r"\s+", " ", run.stdout + run.stderr)


def point():
    """The restore point, which release v1 left."""
    return on("data1", f"ls {STATE}/restore_points").split()[0]


def declared(**functions):
    """The functions of the inventory with others beside them, as an argument."""
    argv = ["ansible-inventory", "-i", "inventories/drill", "--host", "localhost"]
    found = json.loads(subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    return json.dumps({"rollback_functions": {**found["rollback_functions"], **functions}})


def shown(host):
    """Environment, live commit and broken file of a host by digest."""
    path = f"/srv/campaign/current/{BROKEN}"
    environment = f"/srv/campaign/shared/{HOSTS[host]}"
    return on(host, f"sha256sum < {environment}; cat /srv/campaign/current/REVISION {path} | sha256sum")


def sessions():
    """Status of the function on each web host."""
    headers = {"Authorization": f"Bearer {SYSTEM.secret('api_token')}"}
    return [
        httpx.get(f"{url}/api/whatsapp/sessions", headers=headers, timeout=15, trust_env=False).status_code
        for url in SYSTEM.web.values()
    ]
