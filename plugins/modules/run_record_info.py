#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_record_info
short_description: Read the records of rollback runs
description:
  - Lists the runs of a system from the state host, newest first, and picks the one an operator means.
  - Fails if what is asked for cannot be built on the runs on record, such as a rollback while an earlier one
    stopped half way.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.reads_only
options:
  purpose:
    description:
      - V(list) picks nothing.
      - V(rollback) picks an interrupted rollback to O(restore_point) at O(level), which is then continued.
      - V(undo) picks the run to undo, and an interrupted undo of it.
      - V(deployment) picks nothing, and fails if the newest run stopped half way.
      - V(resume) picks the newest run if it was interrupted.
      - V(recovery) picks the rollback in whose attic O(run) is, and fails if the newest run stopped half way.
      - V(validation) picks the rollback that is in force.
    type: str
    choices: [list, rollback, undo, resume, validation, deployment, recovery]
    default: list
  run:
    description: Run to undo or to recover from, an id or V(latest), the newest rollback whose changes are in place.
    type: str
    default: latest
  restore_point:
    description: Where the rollback goes to.
    type: str
    default: ""
  level:
    description: Level of the rollback.
    type: str
    default: ""
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Find the run to undo
  campaign.rollback.run_record_info:
    purpose: undo
  register: runs
"""

RETURN = r"""
records:
  description: All run records, newest first.
  returned: success
  type: list
  elements: dict
chosen:
  description: The run to undo or recover from, or the rollback in force; empty for other purposes, or if there is none.
  returned: success
  type: dict
continued:
  description: The interrupted run that goes on, empty if there is none.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.runs import pick, read_all


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "purpose": {
                "type": "str",
                "choices": ["list", "rollback", "undo", "resume", "validation", "deployment", "recovery"],
                "default": "list",
            },
            "run": {"type": "str", "default": "latest"},
            "restore_point": {"type": "str", "default": ""},
            "level": {"type": "str", "default": ""},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    try:
        records = read_all(module.params["state_dir"])
        params = module.params
        chosen, continued = pick(records, params["purpose"], params["run"], params["restore_point"], params["level"])
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, records=records, chosen=chosen, continued=continued)


if __name__ == "__main__":
    main()
