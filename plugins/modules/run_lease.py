#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_lease
short_description: The one lock for a whole system, taken by rollbacks and deployments
description:
  - Keeps the lease on the state host. At any time one run or deployment holds it.
  - Every holder gets a fencing number that is greater than all before. The module M(campaign.rollback.run_fence)
    announces it on the hosts, which from then on refuse changes of an earlier holder.
version_added: 0.1.0
options:
  state:
    description:
      - V(acquired) takes the lease, or fails naming the holder.
      - V(refreshed) and V(released) extend and end the lease with the number O(fencing).
      - V(broken) ends the lease of O(run_id) although its holder did not.
      - V(read) only reads it.
    type: str
    choices: [acquired, refreshed, released, broken, read]
    default: read
  run_id:
    description: Run or deployment that takes the lease, or whose lease is broken.
    type: str
  owner:
    description: Who does it, for the record.
    type: str
    default: unknown
  purpose:
    description: What the lease is held for.
    type: str
    choices: [rollback, undo, recovery, capture, deployment]
    default: rollback
  expiry_s:
    description: Seconds after which the lease ends by itself unless it is refreshed.
    type: int
    default: 600
  process:
    description:
      - Process of the controller that holds the lease, as P(campaign.rollback.controller_process#lookup) says.
      - Empty for a holder that outlives its process.
    type: dict
    default: {}
  dead:
    description: Number of a lease whose process is known to have ended, and which may be taken over before it expires.
    type: int
    default: 0
  fencing:
    description: Number of one's own lease.
    type: int
    default: 0
  state_dir:
    description: Directory that keeps the lease on the state host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Reads the lease and says whether it would change; a lease that somebody else holds is refused.
    support: full
  diff_mode:
    description: Shows the holder before and after.
    support: full
  idempotent:
    description: The same process may ask again, which refreshes the lease.
    support: partial
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Take the lease for a deployment
  campaign.rollback.run_lease:
    run_id: deploy-1234
    owner: pipeline
    purpose: deployment
    expiry_s: 1800
    state: acquired
"""

RETURN = r"""
lease:
  description: The newest lease, empty if there never was one.
  returned: success
  type: dict
held:
  description: Whether it binds others.
  returned: success
  type: bool
holder:
  description: Who holds it since when and until when, empty if nobody does.
  returned: success
  type: str
fencing:
  description: Number of the lease, 0 if there never was one.
  returned: success
  type: int
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import leases
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def act(params):
    """Bring the lease to the wanted state."""
    state, where = params["state"], params["state_dir"]
    if state == "acquired":
        names = ("run_id", "owner", "purpose", "expiry_s", "process", "dead")
        return leases.acquire(where, **{name: params[name] for name in names})
    if state == "refreshed":
        return leases.refresh(where, params["fencing"], params["expiry_s"])
    if state == "released":
        return leases.release(where, params["fencing"])
    if state == "broken":
        return leases.break_by_hand(where, params["run_id"], params["owner"])
    return leases.read(where)


def rehearse(params, before):
    """In check mode: refuse what would be refused, and say what the lease would be."""
    if params["state"] == "acquired":
        if before.get("fencing") != params["dead"]:
            leases.refuse_held(before, params["run_id"], params["process"], params["state_dir"])
        names = ("run_id", "owner", "purpose", "expiry_s", "process")
        return leases.following(before, time.time(), **{name: params[name] for name in names})
    if params["state"] == "broken":
        leases.refuse_other(before, params["run_id"])
    if params["state"] in ("released", "broken") and before:
        return {**before, "ended": params["state"]}
    return before


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["acquired", "refreshed", "released", "broken", "read"],
                "default": "read",
            },
            "run_id": {"type": "str"},
            "owner": {"type": "str", "default": "unknown"},
            "purpose": {
                "type": "str",
                "choices": ["rollback", "undo", "recovery", "capture", "deployment"],
                "default": "rollback",
            },
            "expiry_s": {"type": "int", "default": 600},
            "process": {"type": "dict", "default": {}},
            "dead": {"type": "int", "default": 0},
            "fencing": {"type": "int", "default": 0},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        required_if=[("state", "acquired", ["run_id"]), ("state", "broken", ["run_id"])],
        supports_check_mode=True,
    )
    params = module.params
    try:
        before = leases.read(params["state_dir"])
        after = rehearse(params, before) if module.check_mode else act(params)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    now = time.time()
    texts = [leases.describe(lease) if leases.is_held(lease, now) else "nobody" for lease in (before, after)]
    module.exit_json(
        changed=before != after,
        lease=after,
        held=leases.is_held(after, now),
        holder=leases.describe(after) if leases.is_held(after, now) else "",
        fencing=after.get("fencing", 0),
        diff={"before": texts[0] + "\n", "after": texts[1] + "\n"},
    )


if __name__ == "__main__":
    main()
