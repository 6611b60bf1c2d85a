#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_open
short_description: Find on the state host what a run is about, and take the lease for it
description:
  - Reads restore points, the records of earlier runs and the lease in one call, and takes the lease if it is free.
  - Fails if what is asked for does not exist, or cannot be built on the runs on record.
version_added: 0.1.0
options:
  kind:
    description:
      - What the playbook does.
      - V(sessions) and V(refresh) go back to nothing on record, and are refused while a run is half way.
    type: str
    choices: [rollback, undo, resume, recovery, sessions, refresh, capture, validation, verification]
    required: true
  run_id:
    description: Id that the run gets unless it continues an interrupted one.
    type: str
    required: true
  environment:
    description: Environment that a restore point has to be of.
    type: str
    default: ""
  level:
    description: Level of a rollback. An interrupted one of the same level to the same restore point goes on.
    type: str
    default: ""
  target:
    description: V(latest), the id of a restore point, or a date; V(all) with O(kind=verification).
    type: str
    default: latest
  commit:
    description: Commit for a backup that has no restore point of its own.
    type: str
    default: ""
  backup_dir:
    description: Directory with backups that were made without this collection.
    type: path
    default: /backups/database
  run:
    description: Run to undo, V(latest) or an id; for a recovery the rollback whose attic is meant, or a schema.
    type: str
    default: latest
  take:
    description: Whether the lease is taken. One that somebody else holds is left alone, and told in RV(refused).
    type: bool
    default: false
  owner:
    description: Who takes it.
    type: str
    default: unknown
  expiry_s:
    description: Seconds after which it ends by itself.
    type: int
    default: 600
  process:
    description: Process of the controller that holds it, from P(campaign.rollback.controller_process#lookup).
    type: dict
    default: {}
  state_dir:
    description: Directory that keeps restore points, runs and the lease on this host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Reads everything, and says which lease would be taken.
    support: full
  diff_mode:
    description: Shows the holder of the lease before and after.
    support: full
  idempotent:
    description: The same process may ask again, which extends the lease.
    support: partial
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Find the newest restore point, and hold everybody else off
  campaign.rollback.run_open:
    kind: rollback
    run_id: 20261121T174500Z
    environment: production
    level: full
    take: true
"""

RETURN = r"""
resolved:
  description: Manifest of the restore point, empty where none is wanted.
  returned: success
  type: dict
chosen:
  description: The run that is undone or recovered from, or the rollback in force; empty if there is none.
  returned: success
  type: dict
continued:
  description: The interrupted run that goes on, empty if there is none.
  returned: success
  type: dict
effect:
  description: What the run does to the system, that of the interrupted run where one goes on.
  returned: success
  type: str
records:
  description: All run records, newest first.
  returned: success
  type: list
  elements: dict
points:
  description: Manifests of the restore points of the environment, with O(kind=verification).
  returned: success
  type: list
  elements: dict
lease:
  description: The newest lease, empty if there never was one.
  returned: success
  type: dict
fencing:
  description: Number of the lease that was taken, 0 if none was.
  returned: success
  type: int
holder:
  description: Who holds it since when and until when, empty if nobody does.
  returned: success
  type: str
refused:
  description: Why the lease was not taken, empty if it was or was not asked for.
  returned: success
  type: str
"""

import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import leases, runs
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.restore_points import Store, meant

#: What an attic is named by; any other word is a schema.
ATTIC = re.compile(r"latest$|[0-9]{8}T[0-9]{6}Z")
#: Kinds of runs that go back to nothing on record, and what they do to the system.
ASIDE = {"sessions": "recovery", "refresh": "refresh"}


def restore_point(params, store):
    """Manifest of the restore point that is meant; one of another environment is refused."""
    names = ("target", "commit", "environment", "backup_dir")
    manifest = meant(store, **{name: params[name] for name in names})
    if manifest["environment"] != params["environment"]:
        raise RollbackError(
            "The restore point is of another environment",
            found=f"{manifest['environment']}, wanted {params['environment']}. Nothing was touched",
            where=store.path(manifest["id"]),
        )
    return manifest


def find(params):
    """What the run is about: ``{resolved, chosen, continued, effect, records, points}``."""
    kind, store = params["kind"], Store(params["state_dir"])
    found = {"resolved": {}, "chosen": {}, "continued": {}, "effect": kind, "records": [], "points": []}
    if kind == "capture":
        return found
    if kind == "verification":
        ids = store.ids() if params["target"] == "all" else [restore_point(params, store)["id"]]
        points = [store.read(point_id) for point_id in ids]
        return {**found, "points": [point for point in points if point["environment"] == params["environment"]]}
    records = runs.read_all(params["state_dir"])
    point = restore_point(params, store) if kind == "rollback" else {}
    schema = kind == "recovery" and not ATTIC.match(params["run"])
    purpose = "deployment" if schema or kind in ASIDE else kind
    chosen, continued = runs.pick(records, purpose, params["run"], point.get("id", ""), params["level"])
    about = continued if kind == "resume" else chosen
    effect = runs.kind_of(continued) if kind == "resume" else ASIDE.get(kind, kind)
    resolved = point or about.get("target", {})
    return {
        **found,
        "records": records,
        "chosen": chosen,
        "continued": continued,
        "effect": effect,
        "resolved": resolved,
    }


def take(params, run_id, purpose, check):
    """The lease that was taken, or in check mode would be; raises RollbackError if somebody else holds it."""
    names = ("owner", "expiry_s", "process")
    given = {**{name: params[name] for name in names}, "run_id": run_id, "purpose": purpose}
    if not check:
        return leases.acquire(params["state_dir"], **given)
    before = leases.read(params["state_dir"])
    leases.refuse_held(before, run_id, params["process"], params["state_dir"])
    return leases.following(before, time.time(), **given)


def main() -> None:
    kinds = ["rollback", "undo", "resume", "recovery", *ASIDE, "capture", "validation", "verification"]
    module = AnsibleModule(
        argument_spec={
            "kind": {"type": "str", "choices": kinds, "required": True},
            "run_id": {"type": "str", "required": True},
            "environment": {"type": "str", "default": ""},
            "level": {"type": "str", "default": ""},
            "target": {"type": "str", "default": "latest"},
            "commit": {"type": "str", "default": ""},
            "backup_dir": {"type": "path", "default": "/backups/database"},
            "run": {"type": "str", "default": "latest"},
            "take": {"type": "bool", "default": False},
            "owner": {"type": "str", "default": "unknown"},
            "expiry_s": {"type": "int", "default": 600},
            "process": {"type": "dict", "default": {}},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    params, refused, taken = module.params, "", {}
    try:
        found = find(params)
        before = leases.read(params["state_dir"])
    except RollbackError as error:
        module.fail_json(msg=str(error))
    try:
        if params["take"]:
            run_id = found["continued"].get("id", params["run_id"])
            taken = take(params, run_id, found["effect"], module.check_mode)
    except RollbackError as error:
        refused = str(error)
    lease, now = taken or before, time.time()
    texts = [leases.describe(one) if leases.is_held(one, now) else "nobody" for one in (before, lease)]
    module.exit_json(
        changed=bool(taken),
        lease=lease,
        fencing=taken.get("fencing", 0),
        holder=leases.describe(lease) if leases.is_held(lease, now) else "",
        refused=refused,
        diff={"before": texts[0] + "\n", "after": texts[1] + "\n"},
        **found,
    )


if __name__ == "__main__":
    main()
