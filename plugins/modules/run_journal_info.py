#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_journal_info
short_description: Read what a run changed on this host
description:
  - Lists the changes that a run announced in its journal on this host, each with the state it is in.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.reads_only
options:
  run_id:
    description: Run whose journal is read.
    type: str
    required: true
  state_dir:
    description: Directory that keeps journals and restore points on this host.
    type: path
    default: /var/lib/rollback
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: See what an undo would put back
  campaign.rollback.run_journal_info:
    run_id: 20261121T174500Z
  register: journal
"""

RETURN = r"""
steps:
  description: Changes in order, with C(seq), C(component), C(verb), C(name), C(state), C(undo) and C(result).
  returned: success
  type: list
  elements: dict
text:
  description: Every whole line of the journal.
  returned: success
  type: str
to_undo:
  description: Changes that are in place, or may be, newest first.
  returned: success
  type: list
  elements: dict
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "run_id": {"type": "str", "required": True},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    try:
        journal = Journal(module.params["run_id"], module.params["state_dir"])
        steps = journal.steps()
    except RollbackError as error:
        module.fail_json(msg=str(error))
    pending = [step for step in reversed(steps) if step.pending_undo]
    module.exit_json(
        changed=False,
        text=journal.text(),
        steps=[dataclasses.asdict(step) for step in steps],
        to_undo=[dataclasses.asdict(step) for step in pending],
    )


if __name__ == "__main__":
    main()
