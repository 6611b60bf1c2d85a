#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: validation_http
short_description: Run declared HTTP checks concurrently and return a verdict for each
description:
  - Sends every check to every address at the same time and judges status, time and content.
  - Runs on the controller, so that it sees what a user would see.
  - It never fails because a check failed; the caller decides.
version_added: 0.1.0
options:
  urls:
    description: Base addresses to check, without a trailing slash.
    type: dict
    required: true
  checks:
    description:
      - Checks with C(name) and C(path), and optionally C(method), C(headers), C(body) (sent as JSON), C(status) (one or
        a list), C(contains), C(absent), C(json) (dotted path to wanted value), C(answer_headers) (name to a text that
        the header has to contain, or null for one that must not be there), C(tls_days) (how long the certificate has to
        last at least), C(max_s), C(token) (send
        O(secret_headers)), C(rollback_only) (checked only after a rollback), C(baseline) (its time belongs to the
        baseline) and C(held) (held back on purpose; asked without O(headers), it has to answer 503 and say
        C(Retry-After)).
    type: list
    elements: dict
    required: true
  headers:
    description: Headers for every request, such as the one that passes the gate.
    type: dict
    default: {}
  secret_headers:
    description: Headers for the checks with C(token).
    type: dict
    default: {}
  after_rollback:
    description: Whether the checks marked C(rollback_only) count.
    type: bool
    default: false
  ca_file:
    description: Certificates that addresses with C(https) are trusted by, where those of the controller are not meant.
    type: path
  samples:
    description: How often each check marked C(baseline) is sent.
    type: int
    default: 1
  timeout_s:
    description: Seconds after which a request counts as failed.
    type: float
    default: 15
attributes:
  check_mode:
    description: Runs the checks that only read.
    details: These are GET and HEAD, and requests that must be refused.
    support: partial
  diff_mode:
    description: Reads only.
    support: none
  idempotent:
    description: A check that sends data sends it each time.
    support: partial
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
- name: Ask both web hosts
  campaign.rollback.validation_http:
    urls: {web1: "http://192.0.2.11", web2: "http://192.0.2.12"}
    checks:
      - {name: health, path: /api/health, json: {status: ok}}
      - {name: hybrid is gone, path: /api/campaigns/hybrid, method: POST, status: 404, rollback_only: true}
  delegate_to: localhost
"""

RETURN = r"""
checks:
  description:
    - One entry for each check and address, with the C(status) of the answer, 0 without one, the C(evidence), and the
      command with which to C(look) further.
  returned: success
  type: list
  elements: dict
  sample: [{name: health, target: web1, passed: true, detail: "", seconds: 0.02, status: 200}]
checks_failed:
  description: How many did not pass.
  returned: success
  type: int
baseline:
  description: Times of the checks marked C(baseline), per path.
  returned: success
  type: dict
  sample: {/api/campaigns: {p50: 0.021, p95: 0.05, samples: 5}}
"""

import concurrent.futures
import ssl
import time
import traceback

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.campaign.rollback.plugins.module_utils import http_checks
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

try:
    import httpx

    HTTPX_ERROR = None
except ImportError:
    HTTPX_ERROR = traceback.format_exc()


def expires(answer):
    """When the certificate of the server ends, None without TLS. Unix time."""
    stream = answer.extensions.get("network_stream")
    secured = stream.get_extra_info("ssl_object") if stream else None
    return ssl.cert_time_to_seconds(secured.getpeercert()["notAfter"]) if secured else None


def request(client, url, check, headers):
    """Send one check; returns what came back, and why nothing did.

    What is held back is asked for as users do. A certificate has to be that of the site, also where the address is that
    of one of its hosts.
    """
    began = time.monotonic()
    sent = check.headers if check.held else {**headers, **check.headers}
    site = next((value for name, value in sent.items() if name.lower() == "host"), "")
    extensions = {"sni_hostname": site.partition(":")[0]} if site else {}
    try:
        with client.stream(
            check.method, url + check.path, headers=sent, json=check.body, extensions=extensions
        ) as answer:
            valid_until = expires(answer)
            answer.read()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return http_checks.Answer(0, seconds=time.monotonic() - began), f"no answer: {type(error).__name__}"
    seconds = time.monotonic() - began
    named = {name.lower(): value for name, value in answer.headers.items()}
    return http_checks.Answer(answer.status_code, answer.text, seconds, named, valid_until), ""


def ask(client, url, check, headers):
    """Send one check; returns its entry and the seconds it took."""
    answer, silent = request(client, url, check, headers)
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    detail = silent or http_checks.judge(check, answer, now)
    told = {"detail": detail, "status": answer.status, "evidence": http_checks.evidence(check, answer, at)}
    return told, answer.seconds


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "urls": {"type": "dict", "required": True},
            "checks": {"type": "list", "elements": "dict", "required": True},
            "headers": {"type": "dict", "default": {}, "no_log": True},
            "secret_headers": {"type": "dict", "default": {}, "no_log": True},
            "after_rollback": {"type": "bool", "default": False},
            "ca_file": {"type": "path"},
            "samples": {"type": "int", "default": 1},
            "timeout_s": {"type": "float", "default": 15},
        },
        supports_check_mode=True,
    )
    if HTTPX_ERROR:
        module.fail_json(msg=missing_required_lib("httpx"), exception=HTTPX_ERROR)
    params = module.params
    try:
        checks = http_checks.parse(params["checks"], params["secret_headers"])
    except RollbackError as error:
        module.fail_json(msg=str(error))
    checks = [
        check
        for check in checks
        if (params["after_rollback"] or not check.rollback_only) and (check.reads_only or not module.check_mode)
    ]
    trusted = ssl.create_default_context(cafile=params["ca_file"]) if params["ca_file"] else True
    client = httpx.Client(timeout=params["timeout_s"], follow_redirects=False, trust_env=False, verify=trusted)
    rounds = [
        (target, url, check)
        for target, url in params["urls"].items()
        for check in checks
        for _sample in range(params["samples"] if check.baseline else 1)
    ]
    with client, concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        answers = list(pool.map(lambda item: ask(client, item[1], item[2], params["headers"]), rounds))
    results, times = {}, {}
    for (target, url, check), (told, seconds) in zip(rounds, answers):
        entry = results.setdefault((target, check.name), {"name": check.name, "target": target, "seconds": 0, **told})
        if told["detail"] and not entry["detail"]:
            # The first failure is told, whatever came before or after it.
            entry.update(told)
        entry["look"] = http_checks.command(check, url)
        entry["seconds"] = round(max(entry["seconds"], seconds), 3)
        if check.baseline and not told["detail"]:
            times.setdefault(check.path, []).append(seconds)
    found = [{**entry, "passed": not entry["detail"]} for entry in results.values()]
    module.exit_json(
        changed=False,
        checks=found,
        checks_failed=sum(not entry["passed"] for entry in found),
        baseline={path: http_checks.summary(seconds) for path, seconds in times.items()},
    )


if __name__ == "__main__":
    main()
