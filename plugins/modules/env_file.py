#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: env_file
short_description: Capture, restore and put back an environment file
description:
  - Restores the content of an environment file such as C(.env) from a copy on the same host, with one rename.
  - Owner and mode of the live file stay. The replaced content is kept with the run, and O(state=reverted) puts it back.
  - Only key names are shown, never values.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
options:
  path:
    description: The live file.
    type: path
    required: true
  copy:
    description: The copy to restore from, or to make with O(state=captured).
    type: path
  digest:
    description: SHA-256 that the copy must have; checked before anything is touched.
    type: str
    default: ""
  state:
    description:
      - V(captured) copies the live file to O(copy), mode 0600.
      - V(restored) replaces the live file by O(copy).
      - V(reverted) puts back what O(reverts) replaced.
    type: str
    choices: [captured, restored, reverted]
    default: restored
attributes:
  check_mode:
    description: Checks the copy and compares, without writing.
    support: full
  diff_mode:
    description: Shows key names and whether their value differs, never the value.
    support: full
  idempotent:
    description: A file that already has the wanted content is left alone.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Restore the environment that the restored release was validated with
  campaign.rollback.env_file:
    path: /srv/campaign/shared/.env
    copy: /var/lib/rollback/restore_points/20261114T101500Z/env/srv__campaign__shared__.env
    run_id: 20261121T174500Z
"""

RETURN = r"""
summary:
  description: SHA-256 and key names of the live file afterwards, as a manifest holds them.
  returned: success
  type: dict
  sample: {digest: 9f86d08..., keys: [APP_ENV, DB_HOST]}
difference:
  description: Key names that were added, removed and changed.
  returned: success
  type: dict
  sample: {added: [], removed: [HYBRID_CAMPAIGNS_ENABLED], changed: [APP_DEBUG]}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import environment
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import sha256_file
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal


def capture(params, check_mode):
    """Copy the live file."""
    live = environment.read(params["path"])
    copy = params["copy"]
    changed = not os.path.exists(copy) or sha256_file(copy) != sha256_file(params["path"])
    if changed and not check_mode:
        with Journal.of_module(params).acting():
            environment.keep(params["path"], copy)
    return changed, live, live


def restore(params, check_mode):
    """Replace the live file by the copy."""
    wanted = environment.read(params["copy"])
    if params["digest"] and sha256_file(params["copy"]) != params["digest"]:
        raise RollbackError("The copy of an environment file is not the one that was captured", where=params["copy"])
    live = environment.read(params["path"])
    if live != wanted and not check_mode:
        journal = Journal.of_module(params)
        with journal.acting():
            environment.restore(journal, params["path"], params["copy"])
    return live != wanted, live, wanted


def revert(params, check_mode):
    """Put the replaced content back."""
    journal, by = Journal.to_revert(params), Journal.of_module(params)
    live = environment.read(params["path"])
    steps = journal.to_undo(environment.COMPONENT, params["path"])
    wanted = environment.read(steps[-1].undo["source"]) if steps else live
    if steps and not check_mode:
        with by.acting():
            environment.revert(journal, by, params["path"])
    return live != wanted, live, wanted


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "copy": {"type": "path"},
            "digest": {"type": "str", "default": ""},
            **UNDO_OPTIONS,
            "state": {"type": "str", "choices": ["captured", "restored", "reverted"], "default": "restored"},
        },
        required_if=[
            ("state", "captured", ["copy"]),
            ("state", "restored", ["copy"]),
        ],
        supports_check_mode=True,
    )
    action = {"captured": capture, "restored": restore, "reverted": revert}[module.params["state"]]
    try:
        changed, before, after = action(module.params, module.check_mode)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    masked_before, masked_after = environment.masked(before, after)
    module.exit_json(
        changed=changed,
        summary={"digest": environment.text_digest(after), "keys": sorted(environment.parse(after))},
        difference=environment.difference(before, after),
        diff={"before": masked_before, "after": masked_after},
    )


if __name__ == "__main__":
    main()
