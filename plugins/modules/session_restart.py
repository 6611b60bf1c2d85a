#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: session_restart
short_description: Start WhatsApp sessions again, one by one, with growing pauses
description:
  - Starts each account that is not connected again, through the service where it answers and has an endpoint for it,
    else by restarting its process under pm2.
  - Waits after each attempt, twice as long as after the one before. It stops at the first success, and where the
    service says that the phone has unlinked the device, because no further attempt can change that.
  - The process is not started while another one runs the same sessions.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.sessions
  - campaign.rollback.sessions.pm2
  - campaign.rollback.sessions.api
options:
  attempts:
    description: Most attempts an account.
    type: int
    default: 4
  pause_s:
    description: Seconds that the first attempt gets; each further one gets twice as long.
    type: float
    default: 5
  grace_s:
    description: Seconds that an account gets before the first attempt, because it was started a moment ago.
    type: float
    default: 0
attributes:
  check_mode:
    description: Says which accounts would be started again, and asks the service only how they stand.
    support: full
  diff_mode:
    description: Shows the state of each account before and after.
    support: full
  idempotent:
    description: An account that is connected is left alone.
    support: full
  platform:
    description: Linux.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Start the failed sessions again
  campaign.rollback.session_restart:
    run_id: 20261121T174500Z
    path: /var/lib/whatsapp/sessions
    accounts: [sales]
    api:
      status_url: http://127.0.0.1:3000/health
      status_path: sessions.{account}
      restart_url: http://127.0.0.1:3000/sessions/restart
      restart_body: {account: "{account}"}
      connected: [connected]
"""

RETURN = r"""
sessions:
  description: For each account what the service's C(word) means (C(stated)), and how many C(attempts) were made.
  returned: success
  type: dict
  sample: {sales: {stated: connected, word: connected, attempts: 1}}
process:
  description: Whether the process was restarted, and with it every account.
  returned: success
  type: bool
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import session_recovery as recovery
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.session_options import (
    API_OPTIONS,
    PM2_OPTIONS,
    STORE_OPTIONS,
    api_of,
    service_of,
)
from ansible_collections.campaign.rollback.plugins.module_utils.session_service import (
    CONNECTED,
    LOGGED_OUT,
    SILENT,
    ask_to_restart,
    sender,
    state_of,
)


class Restarts:
    """Starts accounts again, the gentle way where there is one."""

    def __init__(self, module):
        """Read the options."""
        self.params = module.params
        self.api, self.ask = api_of(module.params), sender(module.params["timeout_s"])
        self.service = service_of(module.params, module.run_command)
        self.grace_s = module.params["grace_s"]
        self.process = False

    def state(self, account):
        """What the service says of an account."""
        return state_of(self.api, self.ask, account)

    def start(self, account, found):
        """Start an account, through the service or with the whole process; returns why it did not work."""
        if self.api.restart_url and found.meaning != SILENT:
            return ask_to_restart(self.api, self.ask, account)
        # The accounts after this one were started with it.
        self.grace_s, self.process = self.params["pause_s"], True
        return self.service.restart()

    def all(self):
        """Every account in its turn; returns what became of each."""
        attempts = recovery.Attempts(self.params["attempts"], self.params["pause_s"])
        done = {}
        for account in self.params["accounts"]:
            found, tried = recovery.restart(
                lambda last, account=account: self.start(account, last),
                lambda account=account: self.state(account),
                attempts,
                self.grace_s,
                time.sleep,
            )
            done[account] = {"stated": found.meaning, "word": found.word, "attempts": tried}
        return done


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **RUN_OPTIONS,
            **STORE_OPTIONS,
            **PM2_OPTIONS,
            **API_OPTIONS,
            "attempts": {"type": "int", "default": 4},
            "pause_s": {"type": "float", "default": 5},
            "grace_s": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        restarts = Restarts(module)
        before = {account: restarts.state(account) for account in module.params["accounts"]}
        after = {account: {"stated": found.meaning, "word": found.word} for account, found in before.items()}
        wanting = [account for account, found in before.items() if found.meaning not in (CONNECTED, LOGGED_OUT)]
        sessions = {account: {**found, "attempts": 0} for account, found in after.items()}
        if wanting and not module.check_mode:
            with Journal.of_module(module.params).acting():
                sessions = restarts.all()
    except RollbackError as error:
        module.fail_json(msg=str(error))
    changed = bool(wanting) if module.check_mode else any(found["attempts"] for found in sessions.values())
    module.exit_json(
        changed=changed,
        sessions=sessions,
        process=restarts.process,
        diff={
            "before": {account: found.meaning for account, found in before.items()},
            "after": {
                account: "started again" if module.check_mode and account in wanting else found["stated"]
                for account, found in sessions.items()
            },
        },
    )


if __name__ == "__main__":
    main()
