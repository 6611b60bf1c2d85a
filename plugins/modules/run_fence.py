#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_fence
short_description: Announce the holder of the lease on a host
description:
  - From then on every change of an earlier holder is refused on this host.
  - Waits for a change under way, such as one that a killed run left running.
version_added: 0.1.0
options:
  fencing:
    description: Number of the lease, from M(campaign.rollback.run_lease).
    type: int
    required: true
  wait_s:
    description: Seconds to wait for a change under way, at most.
    type: float
    default: 60
  state_dir:
    description: Directory that keeps the number on this host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Says whether the number would change; refuses an older one.
    support: full
  diff_mode:
    description: Shows the number before and after.
    support: full
  idempotent:
    description: A number that was announced already changes nothing.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Refuse changes of earlier holders
  campaign.rollback.run_fence:
    fencing: 17
"""

RETURN = r"""
number:
  description: Number that was announced here before.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import fences
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "fencing": {"type": "int", "required": True},
            "wait_s": {"type": "float", "default": 60},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        before = fences.number(params["state_dir"])
        fences.refuse_stale(before, params["fencing"])
        if not module.check_mode:
            fences.announce(params["state_dir"], params["fencing"], params["wait_s"])
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=before < params["fencing"],
        number=before,
        diff={"before": f"{before}\n", "after": f"{params['fencing']}\n"},
    )


if __name__ == "__main__":
    main()
