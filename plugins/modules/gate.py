#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Hold users back at nginx, and let them in again
description:
  - Creates or removes the flag file that makes nginx answer 503 from the next request on, without a reload.
  - After closing, waits for the requests that are already under way in PHP-FPM.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
options:
  flag:
    description: Flag file that the gate's nginx configuration looks for.
    type: path
    default: /etc/nginx/rollback/closed
  socket:
    description: Unix socket of PHP-FPM whose requests are waited for. Empty does not wait.
    type: str
    default: ""
  drain_s:
    description: Seconds to wait for requests under way, at most.
    type: float
    default: 5
  state:
    description: V(closed) holds users back, V(open) lets them in.
    type: str
    choices: [closed, open]
    required: true
attributes:
  check_mode:
    description: Says whether the gate would change.
    support: full
  diff_mode:
    description: Shows the gate before and after.
    support: full
  idempotent:
    description: A gate in the wanted state is left alone.
    support: full
  platform:
    description: Linux.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Hold users back
  campaign.rollback.gate:
    run_id: 20261121T174500Z
    socket: /run/php/php8.2-fpm.sock
    state: closed
"""

RETURN = r"""
under_way:
  description: Requests that were still under way when the wait ended.
  returned: success
  type: int
holder:
  description: Run that had closed the gate before, empty if it was open.
  returned: success
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import gates
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal


def act(params, before):
    """Close or open the gate; returns the requests that are still under way."""
    by, journal = Journal.of_module(params), Journal.to_revert(params)
    with by.acting():
        if params["state"] == "open":
            gates.open_gate(journal, by, params["flag"])
        elif before != params["run_id"]:
            gates.close(by, params["flag"])
    if params["state"] == "open" or not params["socket"]:
        return 0
    return gates.drain(params["socket"], params["drain_s"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "flag": {"type": "path", "default": "/etc/nginx/rollback/closed"},
            "socket": {"type": "str", "default": ""},
            "drain_s": {"type": "float", "default": 5},
            "state": {"type": "str", "choices": ["closed", "open"], "required": True},
            **UNDO_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    after = params["run_id"] if params["state"] == "closed" else ""
    under_way = 0
    # Found out in a rehearsal; when it is closed for good, a dead PHP-FPM is no reason not to hold users back.
    if module.check_mode and params["socket"] and not os.path.exists(params["socket"]):
        error = RollbackError(
            "PHP-FPM does not listen where requests under way are looked for", found="nothing", where=params["socket"]
        )
        module.fail_json(msg=str(error))
    try:
        before = gates.holder(params["flag"])
        if params["state"] == "closed":
            gates.check(params["flag"])
        if not module.check_mode:
            under_way = act(params, before)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=before != after,
        under_way=under_way,
        holder=before,
        diff={"before": f"closed by {before}\n" if before else "open\n", "after": "closed\n" if after else "open\n"},
    )


if __name__ == "__main__":
    main()
