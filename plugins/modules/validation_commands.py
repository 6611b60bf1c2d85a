#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: validation_commands
short_description: Run the application's own tests and return a verdict for each
description:
  - Runs the declared commands that concern this host, one after the other, each as its user and not longer than its
    time.
  - It never fails because a test failed; the caller decides.
  - What a command prints may hold anything, so it is kept in a file on the host (0600) and not returned.
version_added: 0.1.0
options:
  commands:
    description:
      - Tests with C(name), C(argv) and C(group) (inventory group on whose hosts it runs), and optionally C(user)
        (V(www-data)), C(chdir) (O(path)), C(timeout_s) (V(600)) and C(rollback_only) (run only after a rollback).
    type: list
    elements: dict
    required: true
  path:
    description: Live code, in which a test runs that names no directory.
    type: path
    default: /srv/campaign/current
  groups:
    description: All groups of the inventory. A test that names another one is refused.
    type: list
    elements: str
    required: true
  own_groups:
    description: Groups of this host. Without any only the declaration is checked.
    type: list
    elements: str
    default: []
  after_rollback:
    description: Whether the tests marked C(rollback_only) are run.
    type: bool
    default: false
  directory:
    description: Directory for what the tests print. Required with O(own_groups).
    type: path
attributes:
  check_mode:
    description: Checks the declaration and runs nothing; returns no verdict.
    support: full
  diff_mode:
    description: Tests have no state to compare.
    support: none
  idempotent:
    description: The tests run each time.
    support: none
  platform:
    description: Linux with C(runuser) and C(timeout).
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Run the feature tests
  campaign.rollback.validation_commands:
    commands:
      - name: campaign feature
        argv: [php, artisan, test, tests/Feature/CampaignTest.php]
        group: web
        timeout_s: 300
    groups: "{{ groups | list }}"
    own_groups: "{{ group_names }}"
    directory: /var/lib/rollback/runs/20261121T174500Z/tests
"""

RETURN = r"""
checks:
  description: One entry for each test that ran.
  returned: success
  type: list
  elements: dict
  sample: [{name: campaign feature, passed: true, detail: "", seconds: 12.1}]
checks_failed:
  description: How many did not pass.
  returned: success
  type: int
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.application_tests import parse
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory, write_atomically


def run(module, test):
    """Run one test and keep what it printed; returns its verdict."""
    log = os.path.join(module.params["directory"], test.log)
    began = time.monotonic()
    if not os.path.isdir(test.chdir):
        raise RollbackError("There is no directory to run a test in", found=test.name, where=test.chdir)
    status, output, error = module.run_command(test.command(), cwd=test.chdir)
    seconds = time.monotonic() - began
    make_private_directory(module.params["directory"])
    write_atomically(log, (output + error).encode("utf-8", "surrogateescape"))
    return test.verdict(status, seconds, log)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "commands": {"type": "list", "elements": "dict", "required": True},
            "path": {"type": "path", "default": "/srv/campaign/current"},
            "groups": {"type": "list", "elements": "str", "required": True},
            "own_groups": {"type": "list", "elements": "str", "default": []},
            "after_rollback": {"type": "bool", "default": False},
            "directory": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["own_groups"] and not params["directory"]:
        module.fail_json(msg="directory is required with own_groups")
    try:
        tests = parse(params["commands"], params["groups"], params["path"])
        wanted = [
            test
            for test in tests
            if test.group in params["own_groups"] and (params["after_rollback"] or not test.rollback_only)
        ]
        checks = [run(module, test) for test in ([] if module.check_mode else wanted)]
    except OSError as error:
        module.fail_json(msg=str(RollbackError.of_file(error)))
    except RollbackError as error:
        module.fail_json(msg=str(error))
    failed = sum(not check["passed"] for check in checks)
    module.exit_json(changed=bool(wanted), checks=checks, checks_failed=failed)


if __name__ == "__main__":
    main()
