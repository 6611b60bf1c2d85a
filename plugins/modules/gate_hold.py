#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: gate_hold
short_description: Hold declared paths back after a run, while everything else is served
description:
  - nginx answers 503 with C(Retry-After) for the paths, until the run is undone or another run says otherwise.
  - A configuration that nginx does not accept is taken out again, and is an error.
version_added: 0.1.0
extends_documentation_fragment:
  - campaign.rollback.run
  - campaign.rollback.undo
options:
  directory:
    description: Directory that the server block of the application includes.
    type: path
    default: /etc/nginx/rollback
  paths:
    description: Regular expressions of the paths that are held back. Empty holds nothing back any more.
    type: list
    elements: str
    default: []
  header:
    description: Requests with this header and O(secret) pass.
    type: str
    default: X-Rollback-Validation
  secret:
    description: Value of that header, new in each run.
    type: str
    default: ""
  retry_after_s:
    description: Seconds after which users are asked to try again.
    type: int
    default: 30
  service:
    description: Unit of nginx, reloaded when something changed. Empty reloads nothing.
    type: str
    default: nginx.service
  state:
    description: V(held) holds exactly O(paths) back, V(reverted) what was held back before O(reverts).
    type: str
    choices: [held, reverted]
    default: held
attributes:
  check_mode:
    description: Says whether what is held back would change.
    support: full
  diff_mode:
    description: Shows whether something is held back before and after.
    support: full
  idempotent:
    description: The same paths with the same secret change nothing.
    support: full
  platform:
    description: Linux with nginx.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Hold the endpoints of hybrid campaigns back
  campaign.rollback.gate_hold:
    run_id: 20261121T174500Z
    paths: [^/api/campaigns/hybrid]
    secret: "{{ run_gate_secret }}"
"""

RETURN = r"""
held:
  description: Whether something is held back now.
  returned: success
  type: bool
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import path_holds
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import UNDO_OPTIONS, Journal
from ansible_collections.campaign.rollback.plugins.module_utils.service_group import systemctl


def apply(module, path, before):
    """Let nginx check what is there now, then read it; what it does not accept is taken out again."""
    if not module.params["service"]:
        return
    status, _output, error = module.run_command(["nginx", "-t", "-q"])
    if status:
        path_holds.write(path, before)
        raise RollbackError(
            "nginx does not accept what is to be held back", " ".join(error.split())[:300], path, "nginx -t"
        )
    systemctl(lambda argv: module.run_command(argv, cwd="/"), "reload-or-restart", [module.params["service"]])


def act(module, path, before, after):
    """Change what is held back."""
    params = module.params
    by, journal = Journal.of_module(params), Journal.to_revert(params)
    with by.acting():
        if params["state"] == "reverted":
            path_holds.revert(journal, by, path, params["secret"])
        else:
            path_holds.hold(by, path, after)
        apply(module, path, before)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/nginx/rollback"},
            "paths": {"type": "list", "elements": "str", "default": []},
            "header": {"type": "str", "default": "X-Rollback-Validation"},
            "secret": {"type": "str", "default": "", "no_log": True},
            "retry_after_s": {"type": "int", "default": 30},
            "service": {"type": "str", "default": "nginx.service"},
            "state": {"type": "str", "choices": ["held", "reverted"], "default": "held"},
            **UNDO_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    path = os.path.join(params["directory"], path_holds.FILE)
    try:
        before = after = path_holds.read(path)
        if params["state"] == "held":
            given = [params[name] for name in ("run_id", "paths", "header", "secret", "retry_after_s")]
            after = path_holds.configuration(*given)
        else:
            after = (path_holds.to_revert(Journal.to_revert(params), path, params["secret"]) or [before])[-1]
        if before != after and not module.check_mode:
            act(module, path, before, after)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    texts = ["held back\n" if text else "nothing is held back\n" for text in (before, after)]
    module.exit_json(changed=before != after, held=bool(after), diff={"before": texts[0], "after": texts[1]})


if __name__ == "__main__":
    main()
