"""validation_http for real against a server in this process."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CANARY = "canary-7f3a"


@pytest.fixture
def server():
    """Base address of a server that remembers what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            requests.append((self.command, self.path, self.headers.get("Authorization"), self.headers.get("X-Gate")))
            status = {"/gone": 404, "/error": 500, "/away": 302}.get(self.path, 200)
            text = json.dumps({"status": "ok", "secret": CANARY}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if status == 302:
                self.send_header("Location", "/")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_POST = do_HEAD = answer

        def log_message(self, *_arguments):
            pass

    requests = []
    yield from serving(Handler, requests)


def serving(handler, requests, context=None):
    """Base address of a server with this handler, and what it was asked."""
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http{'s' if context else ''}://127.0.0.1:{httpd.server_port}", requests
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_every_check_is_judged_for_every_address_and_no_answer_is_repeated(run_module, server):
    url, requests = server
    checks = [
        {"name": "home", "path": "/", "baseline": True, "json": {"status": "ok"}},
        {"name": "error", "path": "/error"},
        {"name": "redirect", "path": "/away", "status": 302},
        {"name": "gone", "path": "/gone", "method": "POST", "status": 404, "rollback_only": True},
        {"name": "token", "path": "/token", "token": True},
    ]
    arguments = {
        "urls": {"web1": url, "down": "http://127.0.0.1:1"},
        "checks": checks,
        "headers": {"X-Gate": "passes"},
        "secret_headers": {"Authorization": CANARY},
        "samples": 3,
        "after_rollback": True,
    }
    result = run_module("validation_http", arguments)
    verdicts = {(check["target"], check["name"]): (check["passed"], check["detail"]) for check in result["checks"]}
    assert verdicts["web1", "error"] == (False, "status 500, wanted 200")
    assert [name for (target, name), (passed, _detail) in verdicts.items() if target == "web1" and passed] == [
        "home",
        "redirect",
        "gone",
        "token",
    ]
    assert {detail for (target, _name), (_passed, detail) in verdicts.items() if target == "down"} == {
        "no answer: ConnectError"
    }
    assert result["checks_failed"] == 6
    assert result["baseline"]["/"]["samples"] == 3
    assert CANARY not in json.dumps(result)
    assert {request[2] for request in requests if request[1] == "/token"} == {CANARY}
    assert {request[2] for request in requests if request[1] != "/token"} == {None}
    assert {request[3] for request in requests} == {"passes"}


def test_check_mode_sends_nothing_that_may_change_something(run_module, server):
    url, requests = server
    checks = [
        {"name": "read", "path": "/"},
        {"name": "create", "path": "/create", "method": "POST", "status": 201},
        {"name": "gone", "path": "/gone", "method": "POST", "status": 404},
        {"name": "later", "path": "/later", "rollback_only": True},
    ]
    result = run_module("validation_http", {"urls": {"web1": url}, "checks": checks}, check=True)
    assert [check["name"] for check in result["checks"]] == ["read", "gone"]
    assert sorted(request[1] for request in requests) == ["/", "/gone"]


def test_a_check_that_says_nothing_clear_is_refused(run_module):
    arguments = {"urls": {}, "checks": [{"name": "x", "path": "/", "contians": "y"}]}
    assert "contians" in run_module("validation_http", arguments, fails=True)["msg"]


def test_secret_headers_are_not_among_the_arguments_shown(run_module):
    arguments = {"urls": {}, "checks": [], "secret_headers": {"Authorization": CANARY}}
    assert CANARY not in json.dumps(run_module("validation_http", arguments))


def test_what_is_held_back_is_asked_for_as_users_do(run_module, server):
    url, requests = server
    checks = [{"name": "held", "path": "/", "held": True}, {"name": "home", "path": "/"}]
    found = run_module("validation_http", {"urls": {"web1": url}, "checks": checks, "headers": {"X-Gate": "passes"}})
    assert [(check["name"], check["passed"]) for check in found["checks"]] == [("held", False), ("home", True)]
    assert sorted(str(gate) for _method, _path, _token, gate in requests) == ["None", "passes"]


def certificate(path, names, days):
    """A self-signed certificate with its key; returns the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return str(path)


class Plain(http.server.BaseHTTPRequestHandler):
    """Says ok to everything."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def secured(tmp_path):
    """Address of a server over TLS whose certificate is that of a site, not of the address, and lasts ten days."""
    file = certificate(tmp_path / "server.pem", [x509.DNSName("app.example.com")], 10)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    for url, _requests in serving(Plain, [], context):
        yield url, file


def test_a_certificate_has_to_be_trusted_that_of_the_site_and_last(run_module, secured, tmp_path):
    url, file = secured
    site = {"Host": "app.example.com"}
    checks = [
        {"name": "lasts", "path": "/", "headers": site, "tls_days": 9},
        {"name": "ends soon", "path": "/", "headers": site, "tls_days": 11},
        {"name": "other site", "path": "/", "headers": {"Host": "shop.example.com"}, "tls_days": 1},
        {"name": "address", "path": "/", "tls_days": 1},
    ]
    found = run_module("validation_http", {"urls": {"web1": url}, "checks": checks, "ca_file": file})
    verdicts = {check["name"]: check["detail"] for check in found["checks"]}
    assert verdicts["lasts"] == ""
    assert verdicts["ends soon"].startswith("the certificate lasts 10.0 days")
    assert verdicts["other site"] == verdicts["address"] == "no answer: ConnectError"
    stranger = certificate(tmp_path / "other.pem", [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))], 10)
    found = run_module("validation_http", {"urls": {"web1": url}, "checks": checks[:1], "ca_file": stranger})
    assert found["checks"][0]["detail"] == "no answer: ConnectError"


def test_headers_of_the_answer_are_judged_and_a_failure_shows_the_way(run_module, server):
    url, _requests = server
    checks = [{"name": "framed", "path": "/", "answer_headers": {"X-Frame-Options": "DENY"}, "token": True}]
    secret = {"Authorization": CANARY}
    (check,) = run_module("validation_http", {"urls": {"w": url}, "checks": checks, "secret_headers": secret})["checks"]
    assert check["detail"] == "header x-frame-options does not contain 'DENY'"
    assert check["evidence"].startswith("GET / at 20")
    assert check["look"] == f'curl -si -H "Authorization: Bearer $TOKEN" {url}/'
