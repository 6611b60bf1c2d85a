#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_record
short_description: Keep the record of a rollback run
description:
  - Lays fields over the record of a run on the state host, atomically.
  - Everything that belongs to the same moment is one call, because each one costs time while users wait.
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
  lease_s:
    description:
      - Seconds for which the lease O(fencing) is extended first.
      - If it was lost, that is an error, and nothing is written.
    type: int
  release:
    description: Whether the lease is given back at the end.
    type: bool
    default: false
  others:
    description: States of further runs, by id, set before O(fields), so that a resume finds what was cut short.
    type: dict
    default: {}
  files:
    description: Texts by file name that are kept beside the record.
    type: dict
    default: {}
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
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import leases
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import write_atomically
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.runs import merge, path_of, write


def act(params, records):
    """Write every record and file, inside the lease."""
    state_dir = params["state_dir"]
    if params["lease_s"]:
        leases.refresh(state_dir, params["fencing"], params["lease_s"])
    with Journal.of_module(params).acting():
        for record in records:
            write(state_dir, record)
        for name, text in params["files"].items():
            place = os.path.join(os.path.dirname(path_of(state_dir, params["run_id"])), os.path.basename(name))
            write_atomically(place, text.encode("utf-8"))
    if params["release"]:
        leases.release(state_dir, params["fencing"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "fields": {"type": "dict", "required": True},
            "lease_s": {"type": "int"},
            "release": {"type": "bool", "default": False},
            "others": {"type": "dict", "default": {}},
            "files": {"type": "dict", "default": {}},
            **RUN_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        others = [merge(params["state_dir"], run, {"state": state}) for run, state in params["others"].items()]
        before, after = merge(params["state_dir"], params["run_id"], params["fields"])
        changed = [record for known, record in [*others, (before, after)] if known != record]
        further = params["lease_s"] or params["release"] or params["files"]
        if (changed or further) and not module.check_mode:
            act(params, changed)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    texts = [json.dumps(record, indent=2, sort_keys=True) + "\n" for record in (before, after)]
    module.exit_json(changed=bool(changed), record=after, diff={"before": texts[0], "after": texts[1]})


if __name__ == "__main__":
    main()
