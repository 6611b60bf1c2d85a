"""Sessions on disk: what makes one unusable in each of the two layouts, and which device it is."""

from __future__ import annotations

import json

import pytest
import test_leveldb
from ansible_collections.campaign.rollback.plugins.module_utils import session_state
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.session_state import BAILEYS, LOCALAUTH, Store

KEY = {"public": {"type": "Buffer", "data": "cHVibGlj"}, "private": {"type": "Buffer", "data": "c2VjcmV0"}}
LINKED = {
    "me": {"id": "linked@example"},
    "registrationId": 7,
    "noiseKey": KEY,
    "signedIdentityKey": KEY,
    "account": {"details": "c"},
}


def link(path, **changes):
    path.mkdir(parents=True, exist_ok=True)
    (path / "creds.json").write_text(json.dumps({**LINKED, **changes}))
    return str(path)


@pytest.fixture
def profile(tmp_path):
    """A Chromium profile as LocalAuth has it, as far as it is looked at."""
    path = tmp_path / "session-sales"
    for name in session_state.DATABASES:
        test_leveldb.make(path / name)
    (path / "Local State").write_text("{}")
    (path / "Default" / "Preferences").write_text('{"profile": {}}')
    (path / "SingletonLock").symlink_to("wa1-4711")
    return path


INDEXED, LOCAL = session_state.DATABASES


def test_a_profile_that_is_whole_is_valid(profile):
    assert session_state.validate(str(profile), LOCALAUTH) == ""


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: (path / "Local State").unlink(), "Local State is missing"),
        (lambda path: (path / "Local State").write_text("[]"), "Local State is not an object"),
        (lambda path: (path / "Default" / "Preferences").write_text("{"), "Preferences is not whole JSON"),
        (lambda path: (path / INDEXED / "000007.ldb").write_bytes(b""), "indexeddb.leveldb: 000007.ldb has 0 bytes"),
        (lambda path: (path / LOCAL / "CURRENT").unlink(), "leveldb: CURRENT is missing"),
    ],
)
def test_a_broken_profile_is_recognised_and_says_why(profile, damage, reason):
    damage(profile)
    assert reason in session_state.validate(str(profile), LOCALAUTH)


def test_a_profile_is_looked_for_below_its_own_name(profile):
    store = Store(str(profile.parent), LOCALAUTH, "session-{account}")
    (found,) = session_state.inspect(store, ["sales"])
    assert (found.account, found.path, found.valid) == ("sales", str(profile), True)


@pytest.mark.parametrize("account", ["", "..", "a/b", "/etc", "sales\n"])
def test_a_name_that_leads_out_of_the_store_is_refused(account):
    with pytest.raises(RollbackError, match="letters"):
        Store("/var/lib/whatsapp/sessions").folder_of(account)


def test_a_registration_id_may_be_zero(tmp_path):
    assert session_state.validate(link(tmp_path / "sales", registrationId=0)) == ""


def test_what_a_session_holds_beside_its_keys_does_not_count(tmp_path):
    path = link(tmp_path / "sales")
    (tmp_path / "sales" / "notes.txt").write_text("{")
    assert session_state.validate(path) == ""


def test_the_same_device_has_the_same_identity_whatever_it_did_since(tmp_path):
    first = session_state.identity(link(tmp_path / "a"))
    assert first == session_state.identity(link(tmp_path / "b", lastAccountSyncTimestamp=1, account={"details": "d"}))
    others = [{"registrationId": 8}, {"me": {"id": "other@example"}}, {"signedIdentityKey": {"public": "other"}}]
    found = {session_state.identity(link(tmp_path / str(number), **other)) for number, other in enumerate(others)}
    assert len(found | {first}) == 4


@pytest.mark.parametrize("changes", [{"me": None}, {"noiseKey": None}])
def test_what_was_never_linked_has_no_identity(tmp_path, changes):
    assert session_state.identity(link(tmp_path / "sales", **changes)) == ""
    assert session_state.identity(str(tmp_path / "nothing")) == ""


def test_the_identity_tells_no_private_key(tmp_path):
    changed = {"signedIdentityKey": {**KEY, "private": "another"}}
    assert session_state.identity(link(tmp_path / "a")) == session_state.identity(link(tmp_path / "b", **changed))


def test_a_profile_has_no_identity_that_could_be_known(profile):
    assert session_state.identity(str(profile), LOCALAUTH) == ""


def test_a_second_folder_of_the_same_device_is_found(tmp_path):
    for name in ("sales", "sales-old", ".sales.restored"):
        link(tmp_path / name)
    link(tmp_path / "support", registrationId=8)
    store = Store(str(tmp_path), BAILEYS)
    assert session_state.twins(store, ["sales", "support"]) == {"sales": ["sales-old"]}


def test_folders_without_a_device_are_nobodys_twins(tmp_path):
    for name in ("sales", "support"):
        link(tmp_path / name, me={})
    assert session_state.twins(Store(str(tmp_path)), ["sales", "support", "gone"]) == {}
