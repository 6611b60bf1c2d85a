#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: session_folder
short_description: Inspect, capture and restore WhatsApp session folders
description:
  - Validates the authentication state of each declared account on disk (Baileys multi-file state).
  - Captures a valid session while its service runs, and restores a captured one only over a session that is broken.
  - What a restore replaces is kept with the run, and O(state=reverted) puts it back.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
options:
  path:
    description: Directory with one folder an account.
    type: path
    required: true
  accounts:
    description: Accounts, which are folder names.
    type: list
    elements: str
    required: true
  copies:
    description: Directory with the captured folders. Required with O(state=captured) and O(state=restored).
    type: path
  state:
    description:
      - V(inspected) only looks.
      - V(captured) copies every valid session.
      - V(restored) replaces every broken session that has a valid copy. The service must be stopped.
      - V(reverted) puts back what O(reverts) replaced.
    type: str
    choices: [inspected, captured, restored, reverted]
    default: inspected
attributes:
  check_mode:
    description: Says which sessions would be captured, restored or put back.
    support: full
  diff_mode:
    description: Shows for each account whether its session is valid before and after.
    support: full
  idempotent:
    description: A valid session is never replaced; capturing again makes a new copy only of a session that changed.
    support: full
  platform:
    description: Any POSIX host.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Look at the sessions
  campaign.rollback.session_folder:
    path: /var/lib/whatsapp/sessions
    accounts: [sales, support]
    run_id: 20261121T174500Z
"""

RETURN = r"""
sessions:
  description:
    - Each account with C(valid), C(reason) and C(digest), as found before any change.
    - With O(state=captured), C(digest) is that of the copy, because a running service may have written meanwhile.
  returned: success
  type: dict
  sample: {sales: {valid: true, reason: "", digest: 5e88...}}
replaced:
  description: Accounts whose folder was captured, restored or put back.
  returned: success
  type: list
  elements: str
unusable:
  description: Accounts that are broken and have no valid copy, so that a phone has to be linked again.
  returned: success
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import sessions
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import tree_digest
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal


def select(params, found):
    """Sessions that the wanted state would touch."""
    state = params["state"]
    if state == "captured":
        copies = {session.account: os.path.join(params["copies"], session.account) for session in found}
        return [
            session
            for session in found
            if session.valid
            and not (os.path.isdir(copies[session.account]) and tree_digest(copies[session.account]) == session.digest)
        ]
    if state == "restored":
        return [
            session
            for session in found
            if not session.valid and not sessions.validate(os.path.join(params["copies"], session.account))
        ]
    if state == "reverted":
        journal = Journal.to_revert(params)
        return [session for session in found if journal.to_undo(sessions.COMPONENT, session.account)]
    return []


def apply(params, touched):
    """Bring the selected sessions to the wanted state."""
    by = Journal.of_module(params)
    for session in touched:
        if params["state"] == "captured":
            session.digest = sessions.capture(session, os.path.join(params["copies"], session.account))
        elif params["state"] == "restored":
            sessions.restore(by, session, os.path.join(params["copies"], session.account))
        else:
            sessions.revert(Journal.to_revert(params), by, session.account)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "accounts": {"type": "list", "elements": "str", "required": True},
            "copies": {"type": "path"},
            **UNDO_OPTIONS,
            "state": {
                "type": "str",
                "choices": ["inspected", "captured", "restored", "reverted"],
                "default": "inspected",
            },
        },
        required_if=[
            ("state", "captured", ["copies"]),
            ("state", "restored", ["copies"]),
        ],
        supports_check_mode=True,
    )
    params = module.params
    try:
        found = sessions.inspect(params["path"], params["accounts"])
        touched = select(params, found)
        if touched and not module.check_mode:
            with Journal.of_module(params).acting():
                apply(params, touched)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    names = [session.account for session in touched]
    done = f"{params['state']} from a copy"
    before = {s.account: "valid" if s.valid else s.reason for s in found}
    after = {account: done if account in names else text for account, text in before.items()}
    module.exit_json(
        changed=bool(touched),
        sessions={s.account: {"valid": s.valid, "reason": s.reason, "digest": s.digest} for s in found},
        replaced=names,
        unusable=[s.account for s in found if not s.valid and s.account not in names],
        diff={"before": before, "after": after},
    )


if __name__ == "__main__":
    main()
