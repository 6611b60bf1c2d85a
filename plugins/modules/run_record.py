#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_record
short_description: Keep the record of a rollback run
description:
  - Lays fields over the record of a run on the state host, atomically.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
options:
  fields:
    description:
      - Fields to set, such as C(level), C(restore_point), C(reason), C(operator) and C(state).
      - C(state) is one of V(open), V(switching), V(switched), V(success), V(failed) and V(undone).
    type: dict
    required: true
attributes:
  check_mode:
    description: Says whether the record would change.
    support: full
  diff_mode:
    description: Shows the record before and after.
    support: full
  idempotent:
    description: The same fields change nothing the second time.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Record the verdict
  campaign.rollback.run_record:
    run_id: 20261121T174500Z
    fields:
      state: success
"""

RETURN = r"""
record:
  description: The whole record.
  returned: success
  type: dict
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.runs import merge, write


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "fields": {"type": "dict", "required": True},
            **RUN_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        before, after = merge(params["state_dir"], params["run_id"], params["fields"])
        if before != after and not module.check_mode:
            with Journal.of_module(params).acting():
                write(params["state_dir"], after)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    texts = [json.dumps(record, indent=2, sort_keys=True) + "\n" for record in (before, after)]
    module.exit_json(changed=before != after, record=after, diff={"before": texts[0], "after": texts[1]})


if __name__ == "__main__":
    main()
