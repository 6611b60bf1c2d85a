"""setup-monitoring.yml writes what the real servers read: from the textfile to a webhook that is told of an alert."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import pathlib
import queue
import socket
import stat
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
import yaml
from ansible_collections.campaign.rollback.plugins.module_utils import monitoring, status_page, trigger_alerts
from monitoring_world import BROWSER, DRILL, check, world
from test_dashboard import DASHBOARD, strings

ROOT = pathlib.Path(__file__).parents[3]
TOKEN = "token-8f3b"


class Webhook(http.server.BaseHTTPRequestHandler):
    """ansible-rulebook's, as far as Alertmanager can tell."""

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.told.put((self.path, self.headers["Authorization"], told))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def webhook():
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    httpd.told = queue.Queue()
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(scope="module")
def written(tmp_path_factory, webhook):
    """Directory of what the playbook writes on a monitoring host, which is this one."""
    place = tmp_path_factory.mktemp("monitoring")
    (place / "token").write_text(TOKEN)
    group = str(os.getgid())
    said = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "ansible_become": False,
        "rollback_environment": "try",
        "rollback_state_host": "here",
        # So that nobody has to wait.
        "triggers_rules": [{"name": "memory", "for_s": 1, "text": "too much memory is used"}],
        "triggers_alerts_path": str(place / "rules.yml"),
        "monitoring_host": "here",
        "monitoring_webhook_url": f"http://127.0.0.1:{webhook.server_port}/endpoint",
        "monitoring_webhook_token_file": str(place / "token"),
        "monitoring_alertmanager": str(place / "alertmanager.yml"),
        "monitoring_alertmanager_group": group,
        "monitoring_people": {"webhook_configs": [{"url": f"http://127.0.0.1:{webhook.server_port}/people"}]},
        "monitoring_page": str(place / "page"),
        "monitoring_page_group": group,
        "monitoring_nginx": str(place / "snippet.conf"),
        "monitoring_nginx_users": str(place / "users"),
    }
    (place / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": said, "hosts": {"here": {}}}}))
    done = set_up(place)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def set_up(place, **more):
    argv = [
        "ansible-playbook",
        "-i",
        str(place / "hosts.yml"),
        "playbooks/setup-monitoring.yml",
        "-e",
        json.dumps(more),
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_alerts_that_would_reach_nobody_are_refused(written):
    before = (written / "alertmanager.yml").read_bytes()
    done = set_up(written, monitoring_people={})
    assert done.returncode == 2
    assert "Nobody would get an alert." in " ".join(done.stdout.split() + done.stderr.split())
    assert (written / "alertmanager.yml").read_bytes() == before


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def running(log, program, *arguments):
    argv, own = [program, *arguments], program.parent
    with open(log, "wb") as stream, subprocess.Popen(argv, cwd=own, stdout=stream, stderr=stream) as process:
        yield process
        process.terminate()


def ask(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


def asked_until(url, wanted, process, how=ask):
    """The answer once it is as wanted; the time is for a machine that has other things to do."""
    end = time.monotonic() + 180
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            found = how(url)
            if wanted(found):
                return found
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < end, url
        time.sleep(0.1)


@pytest.fixture(scope="module")
def prometheus(written, monitoring_tools):
    """Address of a Prometheus that looks at node_exporter, and tells an Alertmanager, all with what was written."""
    place = written
    (place / "textfile").mkdir()
    world(str(place / "state"))
    now = time.time()
    metrics = trigger_alerts.exposition(check(now=now), now) + monitoring.exposition(str(place / "state"), [DRILL], now)
    (place / "textfile" / "rollback.prom").write_text(metrics)
    node, alertmanager, server = (f"127.0.0.1:{free_port()}" for _server in range(3))
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(place / "rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [node]}]}],
    }
    (place / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with (
        running(
            place / "node.log",
            monitoring_tools / "prometheus-node-exporter",
            f"--web.listen-address={node}",
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={place / 'textfile'}",
        ),
        running(
            place / "alertmanager.log",
            monitoring_tools / "prometheus-alertmanager",
            f"--web.listen-address={alertmanager}",
            f"--config.file={place / 'alertmanager.yml'}",
            f"--storage.path={place / 'alertmanager'}",
            "--cluster.listen-address=",
        ) as receiver,
        running(
            place / "prometheus.log",
            monitoring_tools / "prometheus",
            f"--web.listen-address={server}",
            f"--config.file={place / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'data'}",
        ) as process,
    ):
        asked_until(f"http://{alertmanager}/api/v2/status", bool, receiver)
        url = f"http://{server}/api/v1/query?query="
        asked_until(url + "rollback_trigger_held", lambda found: found["data"]["result"], process)
        yield url


def test_amtool_accepts_the_route(monitoring_tools, written):
    tool = monitoring_tools / "amtool"
    subprocess.run([tool, "check-config", written / "alertmanager.yml"], check=True, stdout=subprocess.PIPE)
    for labels, receivers in (("trigger=memory", "rulebook,people"), ("alertname=RollbackTriggersSilent", "people")):
        argv = [tool, "config", "routes", "test", f"--config.file={written / 'alertmanager.yml'}", labels]
        assert subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip() == receivers
    # The token stays in its file, and what reaches people may hold a password.
    assert TOKEN not in (written / "alertmanager.yml").read_text()
    assert stat.S_IMODE((written / "alertmanager.yml").stat().st_mode) == 0o640


def test_promtool_accepts_the_rules(monitoring_tools, written):
    subprocess.run([monitoring_tools / "promtool", "check", "rules", written / "rules.yml"], check=True)


NGINX = """
daemon off; error_log stderr; pid {place}/nginx.pid; {user}
events {{}}
http {{
    access_log off; types {{ text/html html; }}
    client_body_temp_path {place}/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3;
    uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
    server {{
        listen {listen};
        include {place}/snippet.conf;
        location ~ \\.(json|html)$ {{ root {place}/page; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def nginx(written, monitoring_tools):
    """Address of an nginx that includes what was written, in a server block that would give files away."""
    (written / "page" / "data.json").write_text(json.dumps(page_of(check())))
    listen = f"127.0.0.1:{free_port()}"
    user = "user root;" if os.geteuid() == 0 else ""
    (written / "nginx.conf").write_text(NGINX.format(place=written, listen=listen, user=user))
    program = monitoring_tools / "nginx"
    with running(written / "nginx.log", program, "-p", written, "-c", written / "nginx.conf") as process:
        asked_until(f"http://{listen}", lambda status: status == 404, process, status_of)
        yield f"http://{listen}/monitoring/"


def page_of(found):
    return status_page.data(found, b"", "try", time.time(), 21600)


def status_of(url, password=""):
    headers = {"Authorization": "Basic " + base64.b64encode(f"operator:{password}".encode()).decode()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_is_for_nginx_and_for_those_with_the_password(written, nginx):
    assert stat.S_IMODE((written / "page").stat().st_mode) == 0o2750
    assert stat.S_IMODE((written / "page" / "index.html").stat().st_mode) == 0o640
    paths = ("", "index.html", "data.json")
    (written / "users").unlink(missing_ok=True)
    # Without anybody who may look, nobody may.
    assert [status_of(nginx + path, TOKEN) for path in paths] == [403] * 3
    (written / "users").write_text(f"operator:{{PLAIN}}{TOKEN}\n")
    assert [status_of(nginx + path) for path in paths] == [401] * 3
    assert [status_of(nginx + path, TOKEN) for path in paths] == [200] * 3
    assert status_of(nginx.rstrip("/"), TOKEN) == 200


@BROWSER
def test_the_page_works_within_what_nginx_allows_it(written, nginx, chromium):
    (written / "users").write_text(f"operator:{{PLAIN}}{TOKEN}\n")
    context = chromium.new_context(http_credentials={"username": "operator", "password": TOKEN})
    page = context.new_page()
    page.goto(nginx)
    page.locator("#rule-memory[data-verdict=fired] svg").wait_for()
    context.close()


def test_an_alert_reaches_the_rulebook_at_once_with_its_token(prometheus, webhook):
    # People hear half a minute later, so that they hear of several alerts together.
    path, token, body = webhook.told.get(timeout=180)
    assert (path, token) == ("/endpoint", f"Bearer {TOKEN}")
    (alert,) = body["alerts"]
    assert body["status"] == alert["status"] == "firing"
    labels = {name: alert["labels"].get(name) for name in ("alertname", "trigger", "level", "demand", "severity")}
    assert labels == {
        "alertname": "RollbackMemory",
        "trigger": "memory",
        "level": "partial",
        "demand": "A1.5",
        "severity": "critical",
    }
    assert alert["annotations"]["summary"] == "too much memory is used"


def test_every_panel_gets_an_answer(prometheus):
    empty = []
    for text in strings(DASHBOARD, "expr"):
        query = text.replace("$instance", ".+").replace("$trigger", "memory")
        if not ask(prometheus + urllib.parse.quote(query))["data"]["result"]:
            empty.append(query)
    assert empty == []
