#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: function_info
short_description: Check declared functions, and tell which of them are broken and what belongs to them
description:
  - Reads the declaration of the application's functions and refuses what cannot be meant, with one error.
  - With the answers of their tests it tells which functions are broken, and what a selective rollback restores.
  - Asks nobody; the module M(campaign.rollback.validation_http) does.
version_added: 0.2.0
options:
  functions:
    description:
      - Function name to what belongs to it.
      - C(env) is environment file to keys, C(files) are patterns relative to the code (C(*), C(**), or a directory),
        C(migrations) names, C(processes) systemd units and pm2 names, C(paths) regular expressions for the gate.
      - C(tests) are names of O(checks) or checks of their own; it is broken if one of them fails.
    type: dict
    required: true
  checks:
    description: Declared HTTP checks, that C(tests) may name.
    type: list
    elements: dict
    default: []
  env_files:
    description: Environment files of all hosts.
    type: list
    elements: str
    default: []
  processes:
    description: Units and pm2 processes of all hosts.
    type: list
    elements: str
    default: []
  wanted:
    description: Functions to restore, whatever their tests say. None leaves it to the tests.
    type: list
    elements: str
    default: []
  answers:
    description: Answers to RV(tests) of M(campaign.rollback.validation_http). Without them nothing is chosen.
    type: list
    elements: dict
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
    description: The controller.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Read what is declared
  campaign.rollback.function_info:
    functions:
      whatsapp:
        env: {/srv/campaign/shared/.env: [WHATSAPP_SERVICE_URL, WHATSAPP_SERVICE_TOKEN]}
        files: [app/Services/WhatsAppClient.php]
        processes: [campaign-worker.service]
        tests:
          - {name: WhatsApp sessions, path: /api/whatsapp/sessions, token: true}
    env_files: [/srv/campaign/shared/.env]
    processes: [campaign-worker.service]
"""

RETURN = r"""
tests:
  description: Every test of every function once, as checks.
  returned: success
  type: list
  elements: dict
selection:
  description:
    - What is to be restored, empty without O(answers).
    - C(functions) and C(sound) are names, C(why) tells for each of the former which tests failed.
    - C(env), C(files), C(migrations), C(processes) and C(paths) are what belongs to them.
    - C(tests) have to pass afterwards. C(spared) are patterns of the files of sound functions.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils import functions
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "functions": {"type": "dict", "required": True},
            "checks": {"type": "list", "elements": "dict", "default": []},
            "env_files": {"type": "list", "elements": "str", "default": []},
            "processes": {"type": "list", "elements": "str", "default": []},
            "wanted": {"type": "list", "elements": "str", "default": []},
            "answers": {"type": "list", "elements": "dict"},
        },
        supports_check_mode=True,
    )
    params = module.params
    selection = {}
    try:
        known = functions.parse(params["functions"], params["checks"])
        functions.check_places(known, params["env_files"], params["processes"])
        if params["answers"] is not None:
            selection = functions.choose(known, params["wanted"], params["answers"])
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, tests=functions.tests_of(known.values()), selection=selection)


if __name__ == "__main__":
    main()
