#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: session_info
short_description: How WhatsApp sessions stand, and what would help each of them
description:
  - Puts together what the service says of each account, what is on disk, who runs it, and which copy could replace it.
  - Names the least intrusive thing that can help. An older copy is proposed only where the disk, or the service itself,
    says that the live session is broken; not being connected is no proof.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.sessions
  - campaign.rollback.sessions.api
options:
  copies:
    description: Directory with the copies of earlier captures, a directory an account with one a generation.
    type: path
    required: true
  restarted:
    description: Whether a restart was tried already, so that what it did not mend needs more.
    type: bool
    default: false
  wait_s:
    description: Seconds to wait until every account is connected or logged out.
    type: float
    default: 0
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Reads only.
    support: none
  idempotent:
    description: Reads only.
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
  campaign.rollback.session_info:
    path: /var/lib/whatsapp/sessions
    accounts: [sales, support]
    copies: /var/lib/rollback/sessions
    api:
      status_url: http://127.0.0.1:3000/health
      status_path: sessions.{account}
      connected: [connected]
      logged_out: [logged_out]
"""

RETURN = r"""
sessions:
  description:
    - What was found of each account. C(disk) says why its folder cannot be used, C(stated) what the service's C(word)
      means, V(not asked) if it does not accept the token or there is none. C(copy) is the newest valid copy, C(holders)
      are the processes that run it.
    - C(action) is V(none), V(restart), V(restore), V(link) (its phone has to be linked again), V(refuse) (two of it are
      alive) or V(give_up), and C(why) the reason.
    - C(identity) is a digest of which linked device it is, empty where that cannot be known.
  returned: success
  type: dict
  sample:
    sales:
      {disk: creds.json is not whole JSON, stated: disconnected, word: failed, copy: 20261121T174500Z, holders: [],
      identity: "", action: restore, why: creds.json is not whole JSON}
actions:
  description: The accounts of each C(action), and those that are C(connected), whatever the action.
  returned: success
  type: dict
  sample: {connected: [support], none: [support], restart: [], restore: [sales], link: [], refuse: [], give_up: []}
not_checked:
  description: What a session that is called valid was not checked for.
  returned: success
  type: str
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import session_recovery as recovery
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.session_options import (
    API_OPTIONS,
    STORE_OPTIONS,
    api_of,
    store_of,
)
from ansible_collections.campaign.rollback.plugins.module_utils.session_process import holders
from ansible_collections.campaign.rollback.plugins.module_utils.session_service import (
    CONNECTED,
    LOGGED_OUT,
    NOT_ASKED,
    Stated,
    sender,
    state_of,
)
from ansible_collections.campaign.rollback.plugins.module_utils.session_state import (
    LOCALAUTH,
    NOT_CHECKED,
    identity,
    inspect,
    twins,
)
from ansible_collections.campaign.rollback.plugins.module_utils.sessions import newest_valid


def ask_all(params):
    """What the service says of each account, at the latest after the time that may be waited."""
    deadline = time.monotonic() + params["wait_s"]
    while True:
        try:
            api, ask = api_of(params), sender(params["timeout_s"])
            stated = {account: state_of(api, ask, account) for account in params["accounts"]}
        except RollbackError as error:
            # A wrong token may be what a rollback is to mend, so it does not stand in its way.
            return {account: Stated(NOT_ASKED, str(error)) for account in params["accounts"]}
        settled = all(found.meaning in (CONNECTED, LOGGED_OUT) for found in stated.values())
        if settled or time.monotonic() >= deadline:
            return stated
        time.sleep(0.5)


def same_device(live, copy):
    """Whether two folders are the same linked device; None if that cannot be known.

    A folder without an identity that should have one was never linked, or cannot be read: it is not the copy's device.
    """
    return None if not copy else live == copy


def look(params):
    """Everything known of each account, with what would help it."""
    store = store_of(params)
    stated = ask_all(params)
    running = holders(store, params["accounts"], params["program"] or "")
    doubled = twins(store, params["accounts"])
    found = {}
    for session in inspect(store, params["accounts"]):
        account = session.account
        copy = newest_valid(params["copies"], account, store.kind)
        own = identity(session.path, store.kind)
        evidence = recovery.Evidence(
            stated=stated[account],
            disk=session.reason,
            copy=os.path.basename(copy),
            same_device=same_device(own, identity(copy, store.kind) if copy else ""),
            holders=running[account],
            twins=doubled.get(account, []),
            restarted=params["restarted"],
        )
        decision = recovery.decide(evidence)
        found[account] = {
            "disk": session.reason,
            "stated": evidence.stated.meaning,
            "word": evidence.stated.word,
            "copy": evidence.copy,
            "holders": [str(holder) for holder in evidence.holders],
            "identity": own,
            "action": decision.action,
            "why": decision.why,
        }
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **STORE_OPTIONS,
            **API_OPTIONS,
            "copies": {"type": "path", "required": True},
            "restarted": {"type": "bool", "default": False},
            "wait_s": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        found = look(module.params)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    actions = {name: [key for key, each in found.items() if each["action"] == name] for name in recovery.ACTIONS}
    actions["connected"] = [account for account, each in found.items() if each["stated"] == CONNECTED]
    not_checked = NOT_CHECKED if module.params["kind"] == LOCALAUTH else ""
    module.exit_json(changed=False, sessions=found, actions=actions, not_checked=not_checked)


if __name__ == "__main__":
    main()
