#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pm2
short_description: Stop and start a process under pm2, and prove what runs
description:
  - Drives the pm2 of one user by process name.
  - O(state=restarted) starts the process afresh from its ecosystem file, because a reload ignores a changed script,
    working directory or environment, and returns the new process id and the directory it really runs in.
version_added: 0.1.0
options:
  name:
    description: Process name in pm2.
    type: str
    required: true
  user:
    description: Operating system user who owns the pm2 daemon.
    type: str
    required: true
  home:
    description: C(PM2_HOME) of that user.
    type: path
    required: true
  ecosystem:
    description:
      - Ecosystem file. Required with O(state=restarted).
      - The running process is compared with what it declares, because pm2 keeps what it knows of a process.
    type: path
  state:
    description:
      - V(inspected) only looks.
      - V(stopped) stops and keeps the entry.
      - V(restarted) starts afresh and saves the table.
    type: str
    choices: [inspected, stopped, restarted]
    default: inspected
attributes:
  check_mode:
    description: Says whether the process would be stopped or started.
    support: full
  diff_mode:
    description: Shows the process status before and after.
    support: full
  idempotent:
    description: A restart always restarts; stopping a stopped process changes nothing.
    support: partial
  platform:
    description: Linux with C(runuser).
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Start the WhatsApp service on the restored code
  campaign.rollback.pm2:
    name: whatsapp-service
    user: whatsapp
    home: /home/whatsapp/.pm2
    ecosystem: /srv/campaign/current/whatsapp-service/ecosystem.config.js
    state: restarted
"""

RETURN = r"""
status:
  description: pm2's status of the process afterwards, C(absent) if pm2 does not know it.
  returned: success
  type: str
pid:
  description: Process id afterwards, 0 if it does not run.
  returned: success
  type: int
directory:
  description: Working directory of the running process with links resolved, as the kernel has it.
  returned: success
  type: str
declared_directory:
  description: Working directory that O(ecosystem) declares, with links resolved.
  returned: if O(ecosystem) is given
  type: str
wrong_environment:
  description: Names of variables whose value in the running process is not the one that O(ecosystem) declares.
  returned: if O(ecosystem) is given
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Pm2
from ansible_collections.campaign.rollback.plugins.module_utils.processes import directory_of, environment_of


def compared(pm2, params, pid):
    """The running process beside what its ecosystem file declares; nothing to compare without one."""
    if not params["ecosystem"]:
        return {}
    declared = pm2.declared(params["name"], params["ecosystem"])
    return {
        "declared_directory": os.path.realpath(declared.cwd),
        "wrong_environment": declared.wrong_environment(environment_of(pid)) if pid else [],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "ecosystem": {"type": "path"},
            "state": {"type": "str", "choices": ["inspected", "stopped", "restarted"], "default": "inspected"},
        },
        required_if=[("state", "restarted", ["ecosystem"])],
        supports_check_mode=True,
    )
    params = module.params
    name, state = params["name"], params["state"]
    # A directory that the pm2 user may enter: the caller's may be closed to it.
    pm2 = Pm2(lambda argv: module.run_command(argv, cwd="/"), params["user"], params["home"])
    try:
        before = after = pm2.find(name)
        changed = state == "restarted" or (state == "stopped" and before is not None and not before.at_rest)
        if changed and not module.check_mode:
            if state == "stopped":
                pm2.stop(name)
            else:
                if before is not None:
                    pm2.forget(name)
                pm2.start(name, params["ecosystem"])
                pm2.save(params["home"])
            after = pm2.find(name)
            if state == "restarted" and (after is None or after.status != "online"):
                raise RollbackError(
                    "The process did not come up",
                    found=after.status if after else "absent",
                    where=name,
                    next_step=f"pm2 logs {name}",
                )
            if state == "stopped" and after is not None and not after.at_rest:
                raise RollbackError("The process did not stop", found=after.status, where=name)
        comparison = compared(pm2, params, after.pid if after else 0)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        status=after.status if after else "absent",
        pid=after.pid if after else 0,
        directory=directory_of(after.pid if after else 0),
        **comparison,
        diff={"before": before.status if before else "absent", "after": state if changed else ""},
    )


if __name__ == "__main__":
    main()
