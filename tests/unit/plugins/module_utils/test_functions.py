"""Declared functions: what cannot be meant is refused with one error, and only broken ones are chosen."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import functions
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

CHECKS = [{"name": "home", "path": "/"}, {"name": "gone", "path": "/x", "status": 404, "rollback_only": True}]
WHATSAPP = {
    "env": {"/srv/.env": ["WA_URL", "WA_TOKEN"]},
    "files": ["app/Services/WhatsApp*.php", "whatsapp-service"],
    "processes": ["worker.service", "whatsapp-service"],
    "tests": [{"name": "sessions", "path": "/api/sessions", "token": True}],
    "paths": ["^/api/whatsapp"],
}
PAGES = {"files": ["resources/views/**"], "processes": ["php-fpm.service"], "tests": ["home"]}


def answers(**passed):
    return [
        {"name": name, "target": host, "passed": good, "detail": "" if good else "status 500"}
        for name, good in passed.items()
        for host in ("web1", "web2")
    ]


def chosen(found, wanted=(), declared=None):
    return functions.choose(functions.parse(declared or {"whatsapp": WHATSAPP, "pages": PAGES}, CHECKS), wanted, found)


def test_the_tests_find_what_is_broken_and_nothing_else_is_restored():
    found = chosen(answers(sessions=False, home=True))
    assert (found["functions"], found["sound"]) == (["whatsapp"], ["pages"])
    assert found["spared"] == PAGES["files"]
    assert found["why"] == {
        "whatsapp": ["sessions on web1: status 500", "sessions on web2: status 500"],
    }
    assert {key: found[key] for key in ("env", "files", "processes", "paths", "migrations")} == {
        **{key: WHATSAPP[key] for key in ("env", "files", "processes", "paths")},
        "migrations": [],
    }
    assert [test["name"] for test in found["tests"]] == ["sessions", "home"], "what worked has to work afterwards too"


def test_one_host_is_enough():
    found = answers(sessions=True, home=True)
    found[1].update(passed=False, detail="no answer")
    assert chosen(found)["functions"] == ["whatsapp"]


def test_a_test_that_was_not_asked_did_not_pass():
    assert chosen(answers(home=True))["why"] == {"whatsapp": ["sessions: nobody was asked"]}


def test_a_broken_function_that_is_not_wanted_is_left_alone_and_not_held_to_its_tests():
    found = chosen(answers(sessions=False, home=False), wanted=["pages"])
    assert (found["functions"], found["sound"], found["env"]) == (["pages"], [], {})
    assert [test["name"] for test in found["tests"]] == ["home"]


def test_several_functions_are_restored_together():
    found = chosen(answers(sessions=False, home=False))
    assert found["functions"] == ["whatsapp", "pages"]
    assert found["files"] == [*WHATSAPP["files"], *PAGES["files"]]
    assert found["processes"] == ["worker.service", "whatsapp-service", "php-fpm.service"]


@pytest.mark.parametrize(
    ("wanted", "found", "message"),
    [
        (["whatsap"], answers(sessions=False, home=True), "not declared. Found: whatsap; declared: whatsapp, pages"),
        ([], answers(sessions=True, home=True), "No function is broken"),
    ],
)
def test_nothing_to_do_is_refused(wanted, found, message):
    with pytest.raises(RollbackError, match=message):
        chosen(found, wanted)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"env": {"/srv/.env": ["WA_TOKEN"]}}, "WA_TOKEN in /srv/.env"),
        ({"files": ["app/Services/WhatsAppClient.php"]}, r"app/Services/WhatsApp\*\.php"),
        ({"files": ["whatsapp-service/lib/**"]}, "whatsapp-service"),
    ],
)
def test_what_a_sound_function_uses_too_is_not_touched_unless_both_are_named(part, told):
    declared = {"whatsapp": WHATSAPP, "pages": {**PAGES, **part}}
    found = answers(sessions=False, home=True)
    with pytest.raises(
        RollbackError, match=f"change what pages uses too.*Found: {told}.*rollback_function=whatsapp,pages"
    ):
        chosen(found, declared=declared)
    assert chosen(found, ["whatsapp", "pages"], declared)["functions"] == ["whatsapp", "pages"]
    assert chosen(answers(sessions=False, home=False), declared=declared)["functions"] == ["whatsapp", "pages"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "No function is declared"),
        ([], "No function is declared"),
        ({"WhatsApp": WHATSAPP}, "WhatsApp has a name of small letters"),
        ({"whatsapp": ["env"]}, "knows only env, files, migrations, processes, tests, paths"),
        ({"whatsapp": {**WHATSAPP, "file": []}}, "knows only .*Found: file"),
        ({"whatsapp": {**WHATSAPP, "env": ["KEY"]}}, "a list of keys for each file"),
        ({"whatsapp": {**WHATSAPP, "env": {"/srv/.env": "KEY"}}}, "list of texts in env of /srv/.env"),
        ({"whatsapp": {**WHATSAPP, "env": {"/srv/.env": ["A KEY"]}}}, "no key.*Found: A KEY"),
        ({"whatsapp": {**WHATSAPP, "files": "app"}}, "list of texts in files"),
        ({"whatsapp": {**WHATSAPP, "files": ["/etc/passwd"]}}, "relative to the code.*Found: /etc/passwd"),
        ({"whatsapp": {**WHATSAPP, "files": ["app/../../x"]}}, "relative to the code"),
        ({"whatsapp": {**WHATSAPP, "files": ["**"]}}, "not all of it"),
        ({"whatsapp": {**WHATSAPP, "tests": []}}, "at least one test"),
        ({"whatsapp": {**WHATSAPP, "tests": ["nothing"]}}, "validation_http_checks does not have.*Found: nothing"),
        ({"whatsapp": {**WHATSAPP, "tests": ["gone"]}}, "counts only after a rollback.*Found: gone"),
        ({"whatsapp": {**WHATSAPP, "tests": [{"name": "home", "path": "/home"}]}}, "name of another check"),
        ({"whatsapp": {**WHATSAPP, "tests": [{"name": "x", "path": "/", "method": "POST"}]}}, "changes something"),
        ({"whatsapp": {**WHATSAPP, "tests": [{"name": "x", "path": "/", "wrong": 1}]}}, "knows only"),
        ({"whatsapp": {"tests": ["home"]}}, "nothing that could be restored"),
    ],
)
def test_a_declaration_that_cannot_be_meant_gets_one_clear_error(wrong, message):
    with pytest.raises(RollbackError, match=message) as raised:
        functions.parse(wrong, CHECKS)
    assert raised.value.where in ("rollback_functions", "validation_http_checks")


def test_what_no_host_has_is_refused():
    known = functions.parse({"whatsapp": WHATSAPP}, CHECKS)
    functions.check_places(known, ["/srv/.env"], ["worker.service", "whatsapp-service", "other"])
    with pytest.raises(RollbackError, match=r"env_restore_files.*Found: /srv/\.env"):
        functions.check_places(known, ["/srv/other.env"], ["worker.service", "whatsapp-service"])
    with pytest.raises(RollbackError, match=r"role services.*Found: whatsapp-service"):
        functions.check_places(known, ["/srv/.env"], ["worker.service"])


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("app/Services/WhatsAppClient.php", "app/Services/WhatsAppClient.php", True),
        ("app/Services/WhatsApp*.php", "app/Services/WhatsAppClient.php", True),
        ("app/*.php", "app/Services/WhatsAppClient.php", False),
        ("app/**.php", "app/Services/WhatsAppClient.php", True),
        ("app/Services", "app/Services/WhatsAppClient.php", True),
        ("app/Services/", "app/Services/WhatsAppClient.php", True),
        ("app/Service", "app/Services/WhatsAppClient.php", False),
        ("app.php", "appxphp", False),
    ],
)
def test_patterns(pattern, path, covered):
    assert functions.matches([pattern], path) is covered


def test_the_module_checks_first_and_chooses_with_answers(run_module):
    arguments = {
        "functions": {"whatsapp": WHATSAPP, "pages": PAGES},
        "checks": CHECKS,
        "env_files": ["/srv/.env"],
        "processes": ["worker.service", "whatsapp-service", "php-fpm.service"],
    }
    first = run_module("function_info", arguments)
    assert [test["name"] for test in first["tests"]] == ["sessions", "home"]
    assert first["selection"] == {}
    answered = {**arguments, "answers": answers(sessions=False, home=True)}
    assert run_module("function_info", answered)["selection"]["functions"] == ["whatsapp"]
    assert "not declared" in run_module("function_info", {**answered, "wanted": ["x"]}, fails=True)["msg"]
