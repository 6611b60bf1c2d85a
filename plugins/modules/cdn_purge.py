#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cdn_purge
short_description: Empty the cache of Cloudflare
description:
  - Purges addresses, or everything, from the cache of one zone. Runs on the controller.
  - A call that was refused for its rate, or that failed on their side, is repeated as long as O(timeout_s) allows.
version_added: 0.1.0
options:
  zone:
    description: Id of the zone.
    type: str
    required: true
  token:
    description: Token of the interface that may purge the cache of O(zone).
    type: str
    required: true
  files:
    description: Whole addresses to purge. Empty purges everything.
    type: list
    elements: str
    default: []
  url:
    description: Base address of the interface.
    type: str
    default: https://api.cloudflare.com/client/v4
  timeout_s:
    description: Seconds for all calls together.
    type: float
    default: 15
attributes:
  check_mode:
    description: Sends nothing, and says what would be purged.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: A cache is emptied each time.
    support: none
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
- name: Let no edge serve the old pages
  campaign.rollback.cdn_purge:
    zone: 023e105f4ecef8ad9ca31a8372d0c353
    token: "{{ vault_cdn_token }}"
    files: [https://app.example.com/, https://app.example.com/build/manifest.json]
  delegate_to: localhost
"""

RETURN = r"""
calls:
  description: How many calls purge it.
  returned: success
  type: int
purged:
  description: The addresses, or C(everything).
  returned: success
  type: str
"""

import time
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.campaign.rollback.plugins.module_utils import cloudflare
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

try:
    import httpx

    HTTPX_ERROR = None
except ImportError:
    HTTPX_ERROR = traceback.format_exc()


def send(client, url, body, deadline):
    """One call; returns why it failed. Repeated while it may pass and the answer's wait still fits."""
    pause = 0.5
    while True:
        try:
            answer = client.post(url, json=body, timeout=max(0.1, deadline - time.monotonic()))
        except httpx.HTTPError as error:
            return f"no answer: {type(error).__name__}"
        reason = cloudflare.fault(answer.status_code, answer.text)
        asked = answer.headers.get("Retry-After", "")
        pause = float(asked) if asked.isdigit() else pause
        if not reason or not cloudflare.may_pass(answer.status_code) or time.monotonic() + pause >= deadline:
            return reason
        time.sleep(pause)
        pause *= 2


def purge(params):
    """Send every call; raises RollbackError with the first that failed."""
    deadline = time.monotonic() + params["timeout_s"]
    url = f"{params['url'].rstrip('/')}/zones/{params['zone']}/purge_cache"
    headers = {"Authorization": f"Bearer {params['token']}"}
    with httpx.Client(headers=headers, follow_redirects=False, trust_env=True) as client:
        for body in cloudflare.bodies(params["files"]):
            reason = send(client, url, body, deadline)
            if reason:
                raise RollbackError(
                    "The cache of the content delivery network was not emptied; it may serve what was replaced",
                    # An answer that quotes the token back must not carry it further.
                    found=reason.replace(params["token"], "<token>"),
                    where="frontend_cdn_zone and frontend_cdn_token",
                    next_step="purge it in the dashboard, or run the same command again",
                )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "zone": {"type": "str", "required": True},
            "token": {"type": "str", "required": True, "no_log": True},
            "files": {"type": "list", "elements": "str", "default": []},
            "url": {"type": "str", "default": "https://api.cloudflare.com/client/v4"},
            "timeout_s": {"type": "float", "default": 15},
        },
        supports_check_mode=True,
    )
    if HTTPX_ERROR:
        module.fail_json(msg=missing_required_lib("httpx"), exception=HTTPX_ERROR)
    params = module.params
    try:
        calls = len(cloudflare.bodies(params["files"]))
        if not module.check_mode:
            purge(params)
    except RollbackError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, calls=calls, purged=", ".join(params["files"]) or "everything")


if __name__ == "__main__":
    main()
