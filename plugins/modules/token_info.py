#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: token_info
short_description: Tell whether declared tokens are accepted
description:
  - Sends each declared request with its token to every address at the same time.
  - Says V(valid), V(expired), V(refused), or V(unknown) where the answer tells nothing about the token.
  - A JSON web token is read for when it ends. No token is ever shown.
version_added: 0.2.0
options:
  urls:
    description: Base addresses to ask, without a trailing slash.
    type: dict
    required: true
  checks:
    description: Requests with C(name) and C(path).
    type: list
    elements: dict
    required: true
  headers:
    description: Headers of each request by the name of its check, the one with the token among them.
    type: dict
    default: {}
  timeout_s:
    description: Seconds after which a request counts as not answered.
    type: float
    default: 15
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
requirements:
  - httpx
author:
  - campaign.rollback engineers (@campaign)
"""

EXAMPLES = r"""
- name: Ask whether the operator's token is still good
  campaign.rollback.token_info:
    urls: {web1: "http://192.0.2.11"}
    checks:
      - {name: operator, path: /api/campaigns}
    headers: {operator: {Authorization: "Bearer {{ vault_token }}"}}
  delegate_to: localhost
"""

RETURN = r"""
tokens:
  description: One entry for each check and address.
  returned: success
  type: list
  elements: dict
  sample: [{name: operator, target: web1, verdict: expired, detail: "status 401, ended 0.3 days ago"}]
"""

import concurrent.futures
import time
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.campaign.rollback.plugins.module_utils import tokens

try:
    import httpx

    HTTPX_ERROR = None
except ImportError:
    HTTPX_ERROR = traceback.format_exc()


def ask(client, target, url, check, headers):
    """What one address says about one token."""
    expires = tokens.expiry_of(next((value for name, value in headers.items() if name.lower() == "authorization"), ""))
    try:
        answer = client.get(url + check["path"], headers={"Accept": "application/json", **headers})
        status, text = answer.status_code, answer.text
    except (httpx.HTTPError, httpx.InvalidURL):
        status, text = 0, ""
    now = time.time()
    return {
        "name": check["name"],
        "target": target,
        "verdict": tokens.verdict(status, text, expires, now),
        "detail": tokens.detail(status, expires, now),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "urls": {"type": "dict", "required": True},
            "checks": {"type": "list", "elements": "dict", "required": True},
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "timeout_s": {"type": "float", "default": 15},
        },
        supports_check_mode=True,
    )
    if HTTPX_ERROR:
        module.fail_json(msg=missing_required_lib("httpx"), exception=HTTPX_ERROR)
    params = module.params
    for check in params["checks"]:
        if not check.get("name") or not str(check.get("path", "")).startswith("/"):
            module.fail_json(
                msg="A token check needs a name and a path that starts with /. Look at: login_sessions_tokens"
            )
    rounds = [(target, url, check) for target, url in params["urls"].items() for check in params["checks"]]
    client = httpx.Client(timeout=params["timeout_s"], follow_redirects=False, trust_env=False)
    with client, concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        found = list(pool.map(lambda item: ask(client, *item, params["headers"].get(item[2]["name"], {})), rounds))
    module.exit_json(changed=False, tokens=found)


if __name__ == "__main__":
    main()
