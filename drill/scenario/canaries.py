"""The secrets of one drill system: ``canaries.py DIRECTORY`` makes those that are missing, one 0600 file each.

Most are hostile: they carry what breaks quoting in a shell, in JSON, YAML, SQL, ``.env`` files and templates. Between
such characters stand random parts, so that a value that was cut or re-quoted on its way is still recognised.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import secrets
import string
import sys
from collections.abc import Callable, Iterable

#: Long enough that no part turns up by chance, not even in base64.
PART = 12
EVERYTHING = ("'", '"', " $", "\\", "%s", "{{ ", " }}", "${HOME}", " #", "é漢😀")
# PyMySQL sends a password in Latin-1, PHP in the encoding of its source, so this one keeps to ASCII.
ASCII = ("'", '"', " $", "\\", "%s", "{{ ", " }}", "${HOME}", " #")
# What a value may hold between single quotes, and without any quotes, in a file that vlucas/phpdotenv reads.
IN_SINGLE_QUOTES = ('"', " $", "\\", "%s", "{{ ", " }}", "${HOME}", " #", "é漢😀")
WITHOUT_QUOTES = ("'", '"', "\\", "%s", "{{", "}}", "é漢😀")


def part(length: int = PART) -> str:
    """Random letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def hostile(separators: Iterable[str]) -> str:
    """Random parts with each of ``separators`` between them."""
    return part() + "".join(separator + part() for separator in separators)


def block() -> str:
    """Several lines, in the shape of a key file but with markers that no scanner takes for one."""
    lines = ["+".join([part(), part() + "/" + part(), part() + "=="]) for _ in range(3)]
    return "\n".join(["-----BEGIN DRILL MATERIAL-----", *lines, "-----END DRILL MATERIAL-----"])


def phone() -> str:
    """A number of area code 000, which is never assigned, beyond those that the seed counts up to."""
    return f"10009{secrets.randbelow(10**6):06d}"


#: Values that go through HTTP headers and a form keep to letters and digits.
MAKERS: dict[str, Callable[[], str]] = {
    "app_key": lambda: part(32),
    "service_token": lambda: part(40),
    "api_token": lambda: part(40),
    "user_password": lambda: part(24),
    "eda_webhook_token": lambda: part(40),
    "monitoring_password": lambda: part(24),
    "database_password": lambda: hostile(ASCII),
    "session_secret": lambda: hostile(EVERYTHING),
    "contact_name": lambda: hostile(EVERYTHING),
    "contact_phone": phone,
}
#: In the environment files, another value for each release, so that a rollback changes them and a diff would show them.
OF_A_RELEASE: dict[str, Callable[[], str]] = {
    "mail_password": lambda: hostile(EVERYTHING),
    "broadcast_secret": lambda: hostile(IN_SINGLE_QUOTES),
    "payment_token": lambda: hostile(WITHOUT_QUOTES),
    "signing_key": block,
    "webhook_secret": lambda: hostile(EVERYTHING),
    "webhook_key": block,
}
RELEASES = ("v1", "v2")
for _name, _release in itertools.product(OF_A_RELEASE, RELEASES):
    MAKERS[f"{_name}_{_release}"] = OF_A_RELEASE[_name]


def make_missing(directory: pathlib.Path) -> list[str]:
    """Make the secrets that are not there yet; returns their names."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = [name for name in MAKERS if not (directory / name).exists()]
    for name in made:
        descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(MAKERS[name]() + "\n")
    return made


if __name__ == "__main__":
    print("\n".join(make_missing(pathlib.Path(sys.argv[1]))))
