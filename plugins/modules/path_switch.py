#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: path_switch
short_description: Switch a symbolic link atomically, and back
description:
  - Points a link at another target with one rename, so that a request sees the old or the new target and never neither.
  - What it pointed at before is in the run's journal before the switch; O(state=reverted) puts exactly that back.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
options:
  path:
    description: The link. Required with O(state=switched).
    type: path
  target:
    description: Where the link shall point. Required with O(state=switched).
    type: str
  component:
    description: Component on whose behalf the link is switched.
    type: str
    required: true
  state:
    description:
      - V(switched) points O(path) at O(target).
      - V(reverted) points every link of O(component) at what O(reverts) replaced.
    type: str
    choices: [switched, reverted]
    default: switched
attributes:
  check_mode:
    description: Verifies that link and target can be switched, and says whether they would be.
    support: full
  diff_mode:
    description: Shows the link's target before and after.
    support: full
  idempotent:
    description: A link that already points at the target is left alone.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Make the restored release the live one
  campaign.rollback.path_switch:
    path: /srv/campaign/current
    target: releases/20261114T101500Z-1a2b3c4
    component: application
    run_id: 20261121T174500Z
"""

RETURN = r"""
links:
  description:
    - Each link that was switched, with C(path), C(before) and C(after).
    - C(before) is null if there was no link.
  returned: success
  type: list
  elements: dict
  sample:
    - path: /srv/campaign/current
      before: releases/20261121T170000Z-5d6e7f8
      after: releases/20261114T101500Z-1a2b3c4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.links import check, current_target, revert, switch


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            "target": {"type": "str"},
            "component": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["switched", "reverted"], "default": "switched"},
            **UNDO_OPTIONS,
        },
        required_if=[("state", "switched", ["path", "target"])],
        supports_check_mode=True,
    )
    params = module.params
    component = params["component"]
    try:
        by, journal = Journal.of_module(params), Journal.to_revert(params)
        if params["state"] == "switched":
            check(params["path"], params["target"])
            wanted = {params["path"]: params["target"]}
        else:
            # Newest first, so that of several switches of one link the target before the first one remains.
            wanted = {step.undo["path"]: step.undo["target"] for step in journal.to_undo(component)}
        links = [{"path": path, "before": current_target(path), "after": target} for path, target in wanted.items()]
        links = [link for link in links if link["before"] != link["after"]]
        if not module.check_mode:
            with by.acting():
                if params["state"] == "reverted":
                    revert(journal, by, component)
                for link in links if params["state"] == "switched" else []:
                    switch(by, component, link["path"], link["after"])
    except RollbackError as error:
        module.fail_json(msg=str(error))
    diff = {side: "".join(f"{link['path']} -> {link[side]}\n" for link in links) for side in ("before", "after")}
    module.exit_json(changed=bool(links), links=links, diff=diff)


if __name__ == "__main__":
    main()
