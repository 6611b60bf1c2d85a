"""Functions of the application as the inventory declares them: what belongs to each, which are broken, what to restore.

Pure: whoever asks the tests brings their answers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.http_checks import parse as parse_checks

WHERE = "rollback_functions"
NAME = re.compile(r"[a-z][a-z0-9_-]*")
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Function:
    """What belongs to one function.

    ``env`` maps an environment file to its keys; ``files`` are patterns relative to the code (see ``matches``);
    ``processes`` are units and pm2 names; ``tests`` are HTTP checks, any failing of which says that the function is
    broken; ``paths`` are regular expressions that the gate holds back.
    """

    name: str
    env: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    files: list[str] = dataclasses.field(default_factory=list)
    migrations: list[str] = dataclasses.field(default_factory=list)
    processes: list[str] = dataclasses.field(default_factory=list)
    tests: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    paths: list[str] = dataclasses.field(default_factory=list)

    @property
    def test_names(self) -> list[str]:
        """Names of its tests."""
        return [str(test["name"]) for test in self.tests]


def expression(pattern: str) -> re.Pattern[str]:
    """``*`` stands for anything but /, ``**`` for anything; a directory stands for all below it."""
    parts = re.split(r"(\*\*|\*)", pattern.rstrip("/"))
    text = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts)
    return re.compile(text + r"(?:/.*)?", re.DOTALL)


def matches(patterns: Iterable[str], path: str) -> bool:
    """Whether one of the patterns covers the file ``path``, relative to the code."""
    return any(expression(pattern).fullmatch(path) for pattern in patterns)


def refuse(name: str, what: str, found: object) -> RollbackError:
    """The one error of a declaration that cannot be used."""
    return RollbackError(
        f"Function {name} {what}", found=str(found), where=WHERE, next_step="see docs/selective-rollback.md"
    )


def texts(name: str, field: str, value: Any) -> list[str]:
    """A list of texts that are not empty, or an error that names the field."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise refuse(name, f"needs a list of texts in {field}", value)
    return value


def check_files(name: str, patterns: list[str]) -> list[str]:
    """Patterns that stay inside the code and do not cover all of it."""
    for pattern in patterns:
        parts = pattern.split("/")
        if pattern.startswith("/") or ".." in parts or not pattern.strip("*/."):
            raise refuse(name, "needs files relative to the code, and not all of it", pattern)
    return patterns


def check_env(name: str, declared: Any) -> dict[str, list[str]]:
    """Keys by environment file."""
    if not isinstance(declared, dict):
        raise refuse(name, "needs in env a list of keys for each file", declared)
    for path, keys in declared.items():
        if not all(KEY.fullmatch(key) for key in texts(name, f"env of {path}", keys)):
            raise refuse(name, f"names something that is no key in env of {path}", ", ".join(keys))
    return declared


def check_tests(name: str, declared: Any, checks: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Tests as checks: a text is the name of a declared one, a dict is one of its own."""
    if not isinstance(declared, list) or not declared:
        raise refuse(name, "needs at least one test, or nobody could tell whether it works", declared)
    found = []
    for test in declared:
        if isinstance(test, str) and test not in checks:
            raise refuse(name, "names a test that validation_http_checks does not have", test)
        if isinstance(test, dict) and checks.get(str(test.get("name")), test) != test:
            raise refuse(name, "has a test of its own with the name of another check", test["name"])
        found.append(checks[test] if isinstance(test, str) else test)
    for check in parse_checks(found, {}):
        if check.rollback_only:
            raise refuse(name, "cannot be tested by a check that counts only after a rollback", check.name)
        if not check.reads_only:
            raise refuse(name, "cannot be tested by a check that changes something", check.name)
    return found


def parse(declared: Any, checks: Sequence[Mapping[str, Any]]) -> dict[str, Function]:
    """The declared functions by name; RollbackError for the first thing that cannot be meant."""
    if not isinstance(declared, dict) or not declared:
        raise RollbackError(
            "No function is declared",
            found=type(declared).__name__ if declared else "nothing",
            where=WHERE,
            next_step="see docs/selective-rollback.md",
        )
    # A test of one function may be named by another.
    known = {str(check.get("name")): dict(check) for check in checks}
    found = {}
    for name, parts in declared.items():
        fields = [field.name for field in dataclasses.fields(Function) if field.name != "name"]
        if not NAME.fullmatch(str(name)) or not isinstance(parts, dict) or set(parts) - set(fields):
            surplus = ", ".join(sorted(map(str, set(parts) - set(fields)))) if isinstance(parts, dict) else parts
            raise refuse(name, "has a name of small letters and knows only " + ", ".join(fields), surplus or name)
        lists = {field: texts(name, field, parts.get(field, [])) for field in ("migrations", "processes", "paths")}
        function = Function(
            name,
            env=check_env(name, parts.get("env", {})),
            files=check_files(name, texts(name, "files", parts.get("files", []))),
            tests=check_tests(name, parts.get("tests"), known),
            **lists,
        )
        if not (function.env or function.files or function.migrations or function.processes):
            raise refuse(name, "has nothing that could be restored", "no env, files, migrations or processes")
        known.update({str(test["name"]): test for test in function.tests})
        found[name] = function
    return found


def check_places(functions: Mapping[str, Function], env_files: Iterable[str], processes: Iterable[str]) -> None:
    """Refuse files and processes that no host of the inventory has: they would silently not be restored."""
    files, running = set(env_files), set(processes)
    for function in functions.values():
        for path in function.env:
            if path not in files:
                raise refuse(function.name, "has an environment file that no host lists in env_restore_files", path)
        for process in function.processes:
            if process not in running:
                raise refuse(function.name, "has a process that no host lists for the role services", process)


def tests_of(functions: Iterable[Function]) -> list[dict[str, Any]]:
    """Every test once."""
    return list({str(test["name"]): test for function in functions for test in function.tests}.values())


def broken_tests(function: Function, answers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why a function is broken, one sentence for each failed test; a test that nobody answered failed too."""
    own = [answer for answer in answers if answer["name"] in function.test_names]
    silent = [name for name in function.test_names if name not in [answer["name"] for answer in own]]
    failed = ["{name} on {target}: {detail}".format(**answer) for answer in own if not answer["passed"]]
    return failed + [f"{name}: nobody was asked" for name in silent]


def shared(one: Function, other: Function) -> list[str]:
    """What belongs to both functions."""
    keys = [f"{key} in {path}" for path in one.env for key in one.env[path] if key in other.env.get(path, [])]
    files = [
        pattern
        for pattern in one.files
        if any(matches([pattern], known) or matches([known], pattern) for known in other.files)
    ]
    return keys + files + [name for name in one.migrations if name in other.migrations]


def choose(
    functions: Mapping[str, Function], wanted: Sequence[str], answers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What to restore: the ``wanted`` functions, else those whose tests fail.

    ``{functions, sound, why, env, files, migrations, processes, paths, tests, spared}``: names of both kinds, why each
    of the former is broken, the union of what belongs to them, the tests that have to pass afterwards: theirs, and
    those that passed before, and the files of sound functions, because only a host knows whether two patterns cover the
    same one. RollbackError if a name is not known, nothing is broken, or a sound function would be touched.
    """
    unknown = [name for name in wanted if name not in functions]
    if unknown:
        raise RollbackError(
            "This function is not declared",
            found=f"{', '.join(unknown)}; declared: {', '.join(functions)}",
            where="rollback_function",
            next_step="name one of those, or none to let the tests find what is broken",
        )
    why = {name: broken_tests(function, answers) for name, function in functions.items()}
    chosen = list(wanted) or [name for name in functions if why[name]]
    if not chosen:
        raise RollbackError(
            "No function is broken: every test passed",
            found=", ".join(functions),
            where=WHERE,
            next_step="name one with -e rollback_function=<name> if it has to be restored all the same",
        )
    sound = [name for name in functions if name not in chosen and not why[name]]
    for name in chosen:
        for other in sound:
            both = shared(functions[name], functions[other])
            if both:
                raise RollbackError(
                    f"Restoring {name} would change what {other} uses too, and that works",
                    found=", ".join(both),
                    where=WHERE,
                    next_step=f"if both are meant: -e rollback_function={','.join([*chosen, other])}",
                )
    return {
        "functions": chosen,
        "sound": sound,
        "why": {name: why[name] for name in chosen},
        "tests": tests_of(functions[name] for name in [*chosen, *sound]),
        "spared": union([functions[name] for name in sound])["files"],
        **union([functions[name] for name in chosen]),
    }


def union(functions: Sequence[Function]) -> dict[str, Any]:
    """What belongs to any of them, each thing once and in order."""
    env: dict[str, list[str]] = {}
    for function in functions:
        for path, keys in function.env.items():
            env[path] = list(dict.fromkeys([*env.get(path, []), *keys]))
    lists = {
        field: list(dict.fromkeys(item for function in functions for item in getattr(function, field)))
        for field in ("files", "migrations", "processes", "paths")
    }
    return {"env": env, **lists}
