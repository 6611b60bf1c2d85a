#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_record_info
short_description: Read the records of rollback runs
description:
  - Lists the runs of a system from the state host, newest first, and picks the one an operator means.
version_added: 0.1.0
options:
  run:
    description: Run to pick, an id or V(latest), which is the newest run whose changes are in place. Empty picks none.
    type: str
    default: ""
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Reads only.
    support: none
  idempotent:
    description: Reads only.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Find the run to undo
  campaign.rollback.run_record_info:
    run: latest
  register: runs
"""

RETURN = r"""
records:
  description: All run records, newest first.
  returned: success
  type: list
  elements: dict
chosen:
  description: The record that O(run) names, null without O(run).
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.runs import choose, read_all


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "run": {"type": "str", "default": ""},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    try:
        records = read_all(module.params["state_dir"])
        chosen = choose(records, module.params["run"]) if module.params["run"] else None
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, records=records, chosen=chosen)


if __name__ == "__main__":
    main()
