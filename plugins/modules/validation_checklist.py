#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: validation_checklist
short_description: Say how the checklist of a rollback stands, and keep who signed what off
description:
  - Each item is proven by named checks, or signed off by a person, or open. Open items are never counted as passed.
  - A sign-off is kept with its time beside the record of the run, on the state host. It does not outweigh a check
    that failed.
version_added: 0.1.0
options:
  items:
    description: Checklist, each with C(item) (a short name), C(text) and optionally C(checks) (names of checks).
    type: list
    elements: dict
    required: true
  results:
    description: Results of checks, with C(check) and C(result).
    type: list
    elements: dict
    default: []
  signed_off:
    description: Item to the name of the person who looked at it.
    type: dict
    default: {}
  run:
    description: Rollback whose checklist it is. Without one nothing is kept.
    type: str
    default: ""
  state_dir:
    description: Directory that keeps runs on this host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Says how it would stand, and keeps nothing.
    support: full
  diff_mode:
    description: Shows who signed off before and after.
    support: full
  idempotent:
    description: A sign-off that is known already keeps its time.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: See what is open
  campaign.rollback.validation_checklist:
    items:
      - {item: listing, text: Campaign listing displays correctly, checks: [campaign list]}
      - {item: templates, text: Template selection functions properly}
    results: [{check: campaign list, result: passed}]
    signed_off: {templates: J. Doe}
    run: 20261121T174500Z
"""

RETURN = r"""
checklist:
  description: Each item with its C(state), which is V(passed), V(FAILED), V(signed off) or V(open).
  returned: success
  type: list
  elements: dict
  sample:
    - item: templates
      text: Template selection functions properly
      state: signed off
      checks: []
      by: J. Doe
      at: "2026-11-21T18:02:10.000000Z"
open:
  description: Names of the items that nobody and nothing has proven.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import checklists
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import now


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "items": {"type": "list", "elements": "dict", "required": True},
            "results": {"type": "list", "elements": "dict", "default": []},
            "signed_off": {"type": "dict", "default": {}},
            "run": {"type": "str", "default": ""},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        checklists.check(params["items"], params["signed_off"])
        path = checklists.path_of(params["state_dir"], params["run"]) if params["run"] else ""
        before = checklists.read(path) if path else {}
        after = checklists.sign(before, params["signed_off"], now())
        if path and after != before and not module.check_mode:
            checklists.write(path, after)
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    found = checklists.judge(params["items"], params["results"], after)
    listed = ["".join(f"{name}: {kept[name]['by']}\n" for name in sorted(kept)) for kept in (before, after)]
    module.exit_json(
        changed=bool(path) and after != before,
        checklist=found,
        open=[item["item"] for item in found if item["state"] == checklists.OPEN],
        diff={"before": listed[0], "after": listed[1]},
    )


if __name__ == "__main__":
    main()
