#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: staging_mark
short_description: Keep on the state host who says that staging is green with a commit
description:
  - Reads the mark of a commit, and with O(by) sets it. A later word replaces an earlier one.
version_added: 0.1.0
options:
  commit:
    description: Whole commit, 40 hexadecimal digits.
    type: str
    required: true
  by:
    description: Who says so, a person or a pipeline. Empty only reads.
    type: str
    default: ""
  state_dir:
    description: Directory that keeps marks on this host.
    type: path
    default: /var/lib/rollback
attributes:
  check_mode:
    description: Says whether the mark would be set.
    support: full
  diff_mode:
    description: Shows the mark before and after.
    support: full
  idempotent:
    description: A mark by the same keeps its time.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Say that staging is green
  campaign.rollback.staging_mark:
    commit: 1a2b3c4d5e6f70819293a4b5c6d7e8f901234567
    by: staging pipeline 1234
"""

RETURN = r"""
mark:
  description: Who said so (C(by)) and when (C(at), UTC); empty if nobody did.
  returned: success
  type: dict
  sample: {by: staging pipeline 1234, at: "2026-11-21T17:45:00Z"}
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import deployments
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def told(mark):
    """The mark as a line."""
    return "{by} at {at}\n".format(**mark) if mark else ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "commit": {"type": "str", "required": True},
            "by": {"type": "str", "default": ""},
            "state_dir": {"type": "path", "default": "/var/lib/rollback"},
        },
        supports_check_mode=True,
    )
    params, by = module.params, module.params["by"].strip()
    try:
        path = deployments.mark_path(params["state_dir"], params["commit"])
        before = deployments.read_mark(path)
        after = before
        if by and before.get("by") != by:
            after = {"by": by, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        if after != before and not module.check_mode:
            deployments.write_mark(path, after)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=after != before, mark=after, diff={"before": told(before), "after": told(after)})


if __name__ == "__main__":
    main()
