#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_api_info
short_description: Health of token and number of accounts on Meta's WhatsApp Cloud API
description:
  - Asks Meta whether the token of each account is valid and has the scopes it needs, whether its number can be read,
    and whether the app is subscribed to its business account.
  - Sends GET requests only. No message is sent, and no number is registered.
  - Tokens are read on the host that the module runs on, and are never returned. Errors are told by Meta's code, because
    its own text may repeat the token.
version_added: 0.1.0
options:
  accounts:
    description: Accounts.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the account in what is returned.
        type: str
        required: true
      phone_number_id:
        description: Meta's id of the number, not the number itself.
        type: str
        required: true
      waba_id:
        description: Id of the business account, to check that the app is subscribed to it.
        type: str
        default: ""
      token_file:
        description: File with the token, alone or as O(accounts.token_key) of an environment file.
        type: path
        default: ""
      token_key:
        description: Key of the token in O(accounts.token_file), or its environment variable if there is no file.
        type: str
        default: ""
  base_url:
    description: Address of the API with its version.
    type: str
    default: https://graph.facebook.com/v25.0
  timeout_s:
    description: Seconds after which a request counts as unanswered.
    type: float
    default: 10
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
    description: Any host that reaches the API.
    platforms: posix
    support: full
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Look at the Cloud API accounts
  campaign.rollback.cloud_api_info:
    accounts:
      - name: support
        phone_number_id: "100000000000001"
        token_file: /srv/campaign/shared/.env
        token_key: WHATSAPP_TOKEN
"""

RETURN = r"""
accounts:
  description:
    - For each account C(state), which is V(healthy), V(broken) or V(unknown) (no answer, throttled, or an error that
      says nothing about the account), the C(reasons), and C(notes) on what is healthy but will not stay so.
    - C(expires_at) is in Unix seconds, 0 if the token never expires.
  returned: success
  type: dict
  sample:
    support: {state: broken, reasons: ["token: it has expired"], notes: [], expires_at: 1790000000, quality: GREEN}
"""

import dataclasses
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.cloud_api import Account, check
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.session_service import sender, token_in


def token_of(given):
    """The token of an account, from its file or from the environment."""
    if given["token_file"]:
        return token_in(given["token_file"], given["token_key"])
    token = os.environ.get(given["token_key"], "")
    if not token:
        raise RollbackError("There is no token for the account", found=given["name"], where="token_file, token_key")
    return token


def getter(timeout_s):
    """Asks Meta for real, by the host's proxy if it has one; by GET alone."""
    ask = sender(timeout_s, past_proxy=False)
    return lambda url, token: ask("GET", url, {"Authorization": f"Bearer {token}"}, None)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "accounts": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "phone_number_id": {"type": "str", "required": True},
                    "waba_id": {"type": "str", "default": ""},
                    "token_file": {"type": "path", "default": "", "no_log": False},
                    "token_key": {"type": "str", "default": "", "no_log": False},
                },
            },
            "base_url": {"type": "str", "default": "https://graph.facebook.com/v25.0"},
            "timeout_s": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    params, found = module.params, {}
    try:
        for given in params["accounts"]:
            token = token_of(given)
            # Whatever Meta or a proxy on the way writes, it is not repeated.
            module.no_log_values.add(token)
            account = Account(given["name"], given["phone_number_id"], given["waba_id"], token)
            found[account.name] = dataclasses.asdict(
                check(getter(params["timeout_s"]), params["base_url"], account, time.time())
            )
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, accounts=found)


if __name__ == "__main__":
    main()
