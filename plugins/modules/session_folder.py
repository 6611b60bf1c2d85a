#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: session_folder
short_description: Inspect, capture and restore WhatsApp session folders
description:
  - Validates the authentication state of each declared account on disk.
  - Captures a valid session, and keeps several generations of copies. Restores the newest valid one, and only over a
    session that is broken on disk or by the word of its service.
  - While a folder is replaced nobody runs the sessions; that is proven by the processes of the host.
  - What a restore replaces is kept with the run, and O(state=reverted) puts it back.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
  - campaign.rollback.sessions
  - campaign.rollback.sessions.pm2
options:
  copies:
    description:
      - Directory with the copies, a directory an account with one a generation, named after the run that made it.
      - Required with O(state=captured) and O(state=restored).
    type: path
  keep:
    description: How many generations are kept of each account. The newest valid one is kept in any case.
    type: int
    default: 5
  quiesce:
    description:
      - Whether the service is stopped while O(state=captured) copies.
      - Without it a copy counts only if the session was the same before and after, and a profile of O(kind=localauth)
        is not copied while its browser runs.
    type: bool
    default: false
  broken:
    description: Accounts that their service calls broken, whose session O(state=restored) replaces though it validates.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(inspected) only looks.
      - V(captured) copies every valid session.
      - V(restored) replaces every broken session that has a valid copy.
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
    description:
      - Capturing again makes a new copy only of a session that changed.
      - A valid session is never replaced, unless it is among O(broken).
    support: full
  platform:
    description: Linux.
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
copies:
  description: Run that made the newest valid copy of each account, as found before any change; empty if there is none.
  returned: success
  type: dict
  sample: {sales: 20261121T174500Z}
replaced:
  description: Accounts whose folder was captured, restored or put back.
  returned: success
  type: list
  elements: str
started:
  description: Whether the service was started again, after it had been stopped for this.
  returned: success
  type: bool
unusable:
  description: Accounts that are broken and have no valid copy, so that a phone has to be linked again.
  returned: success
  type: list
  elements: str
"""

import contextlib
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import sessions
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import tree_digest
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.session_options import (
    PM2_OPTIONS,
    STORE_OPTIONS,
    service_of,
    store_of,
)
from ansible_collections.campaign.rollback.plugins.module_utils.session_process import HOLD, refuse_running, refuse_two
from ansible_collections.campaign.rollback.plugins.module_utils.session_state import LOCALAUTH, inspect


def copied_already(params, session):
    """Whether the newest copy of a session is what is live."""
    newest = sessions.generations(params["copies"], session.account)[:1]
    return bool(newest) and tree_digest(newest[0]) == session.digest


def select(params, found, copies):
    """Sessions that the wanted state would touch."""
    state = params["state"]
    if state == "captured":
        return [session for session in found if session.valid and not copied_already(params, session)]
    if state == "restored":
        broken = [session for session in found if not session.valid or session.account in params["broken"]]
        return [session for session in broken if copies[session.account]]
    if state == "reverted":
        journal = Journal.to_revert(params)
        return [session for session in found if journal.to_undo(sessions.COMPONENT, session.account)]
    return []


def capture(params, session):
    """Make a copy, and remove what is too old once it is there."""
    place = os.path.join(params["copies"], session.account)
    session.digest = sessions.capture(session, os.path.join(place, params["run_id"]))
    sessions.prune(params["copies"], session.account, session.kind, params["keep"])


def apply(params, touched, copies):
    """Bring the selected sessions to the wanted state."""
    by = Journal.of_module(params)
    for session in touched:
        if params["state"] == "captured":
            capture(params, session)
        elif params["state"] == "restored":
            sessions.restore(by, session, copies[session.account], session.account in params["broken"])
        else:
            sessions.revert(Journal.to_revert(params), by, session.account)


def stops(params):
    """Whether the service has to be stopped; a copy of files proves by itself that they stayed as they were."""
    return params["state"] != "captured" or params["quiesce"]


def check(params, service):
    """Refuse what must not be done while these processes run."""
    if stops(params):
        refuse_two(service.look)
    elif params["kind"] == LOCALAUTH:
        refuse_running(service.look)


def journals_of(params):
    """Journals of the run that acts and of the one that is put back."""
    by, reverted = Journal.of_module(params), Journal.to_revert(params)
    return [by] if by.run_id == reverted.run_id else [by, reverted]


def interrupted(params):
    """Whether a run was killed after it had stopped the service."""
    return any(journal.to_undo(sessions.COMPONENT, HOLD) for journal in journals_of(params))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **UNDO_OPTIONS,
            **STORE_OPTIONS,
            **PM2_OPTIONS,
            "copies": {"type": "path"},
            "keep": {"type": "int", "default": 5},
            "quiesce": {"type": "bool", "default": False},
            "broken": {"type": "list", "elements": "str", "default": []},
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
        found = inspect(store_of(params), params["accounts"])
        copies = {
            session.account: sessions.newest_valid(params["copies"], session.account, session.kind)
            for session in found
            if params["copies"]
        }
        touched = select(params, found, copies)
        service = service_of(params, module.run_command)
        pending = params["state"] != "inspected" and interrupted(params)
        if touched or pending:
            check(params, service)
        if (touched or pending) and not module.check_mode:
            around = service.stopped(journals_of(params)) if stops(params) else contextlib.nullcontext()
            with Journal.of_module(params).acting(), around:
                apply(params, touched, copies)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    names = [session.account for session in touched]
    done = f"{params['state']} from a copy"
    before = {s.account: "valid" if s.valid else s.reason for s in found}
    after = {account: done if account in names else text for account, text in before.items()}
    module.exit_json(
        changed=bool(touched or pending),
        sessions={s.account: {"valid": s.valid, "reason": s.reason, "digest": s.digest} for s in found},
        copies={account: os.path.basename(copy) for account, copy in copies.items()},
        replaced=names,
        started=service.started,
        unusable=[s.account for s in found if not s.valid and s.account not in names],
        diff={"before": before, "after": after},
    )


if __name__ == "__main__":
    main()
