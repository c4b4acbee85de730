"""The vault on a real PostgreSQL: who may do what, races, rotation, tombstones."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.support.proxy import Proxy
from tests.support.vault import VaultPlace, vault_place
from typer.testing import CliRunner, Result

from conveyor.errors import UnavailableError
from placet.commands.vault import app
from placet.output import Exit
from vault import rotation
from vault.keyring import DataKey, Keyring
from vault.keys import KeyFile, RetiredKeyError, UnknownKeyError
from vault.store import Store, prepare


@pytest.fixture(scope="module")
def place(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultPlace]:
    with vault_place(postgres_server, tmp_path_factory.mktemp("vault")) as made:
        yield made


@pytest.fixture
def ring(place: VaultPlace) -> Iterator[Keyring]:
    with place.keyring() as made:
        yield made


@pytest.fixture
def owner(place: VaultPlace) -> Iterator[Store]:
    with Store(place.owner, "test owner") as made:
        yield made


def rows(place: VaultPlace, subject: str) -> list[tuple[object, ...]]:
    with psycopg.connect(place.owner) as connection:
        statement = "SELECT wrapped, kek_id FROM vault.key WHERE subject = %s"
        return connection.execute(statement, (subject,)).fetchall()


REFUSED = [
    "SELECT * FROM vault.key",
    "SELECT * FROM vault.tombstone",
    "INSERT INTO vault.key (subject) VALUES ('x')",
    "DELETE FROM vault.tombstone",
    "UPDATE vault.kek SET kek_id = 'x'",
    "SELECT * FROM vault.migration",
    "CREATE TABLE vault.mine (id int)",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_whoever_is_not_the_owner_calls_functions_and_touches_no_table(
    place: VaultPlace, statement: str
) -> None:
    with (
        psycopg.connect(place.caller) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


def test_a_role_that_was_granted_nothing_may_call_nothing(
    place: VaultPlace, postgres_server: str
) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as server:
        server.execute("CREATE ROLE vault_stranger LOGIN PASSWORD 'test'")
    stranger = psycopg.conninfo.make_conninfo(place.owner, user="vault_stranger")
    try:
        with (
            psycopg.connect(stranger) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT * FROM vault.find_keys('{}')")
    finally:
        with psycopg.connect(postgres_server, autocommit=True) as server:
            server.execute("DROP ROLE vault_stranger")


def test_preparing_again_changes_nothing(place: VaultPlace, ring: Keyring) -> None:
    made = ring.keys_for(["item:again"])
    prepare(place.owner, ["pg_monitor"])
    with place.keyring() as other:
        assert other.find(["item:again"]) == made


def test_all_who_create_a_key_at_once_have_the_same_one(place: VaultPlace) -> None:
    everybody, names = 8, [f"item:race-{number}" for number in range(50)]
    found: list[dict[str, DataKey | None]] = []
    together = threading.Barrier(everybody)

    def create(turn: int) -> None:
        with place.keyring(f"test {turn}") as mine:
            mine.find(["item:none"])  # connected
            together.wait(30)
            found.append(mine.keys_for(names if turn % 2 else reversed(names)))

    threads = [threading.Thread(target=create, args=(turn,)) for turn in range(everybody)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == everybody
    assert all(one == found[0] for one in found)
    assert len({key.raw for key in found[0].values() if key}) == len(names)


def test_a_batch_is_one_round_trip(place: VaultPlace, ring: Keyring) -> None:
    names = [f"item:batch-{number}" for number in range(2_000)]
    made = ring.keys_for(names)
    with place.keyring() as other:
        # Half of them are there, half are new.
        more = [*names[:1_000], *(f"item:more-{number}" for number in range(1_000))]
        again = other.keys_for(more)
    assert {name: again[name] for name in names[:1_000]} == {
        name: made[name] for name in names[:1_000]
    }


def test_a_destroyed_key_is_gone_for_everybody_and_never_made_again(
    place: VaultPlace, ring: Keyring
) -> None:
    key = ring.keys_for(["person:ada"])["person:ada"]
    assert key is not None
    [(wrapped, _)] = rows(place, "person:ada")
    assert isinstance(wrapped, bytes)
    position = _last(ring)
    assert ring.destroy("person:ada", "asked for it", "privacy@example.org") is True
    assert ring.destroy("person:ada", "again", "another") is False
    assert rows(place, "person:ada") == [(None, None)]
    assert ring.keys_for(["person:ada"]) == {"person:ada": None}
    with place.keyring() as other:
        assert other.find(["person:ada"]) == {"person:ada": None}
        assert [name for _, name in other.destroyed_after(position)] == ["person:ada"]
    with psycopg.connect(place.owner) as connection:
        left = connection.execute(
            "SELECT reason, actor FROM vault.tombstone WHERE subject = 'person:ada'"
        ).fetchall()
    assert left == [("asked for it", "privacy@example.org")]


def _last(ring: Keyring) -> int:
    position = 0
    while found := ring.destroyed_after(position):
        position = found[-1][0]
    return position


def test_a_subject_that_was_never_seen_can_be_destroyed_beforehand(ring: Keyring) -> None:
    assert ring.destroy("person:unseen", "asked for it", "privacy") is True
    assert ring.keys_for(["person:unseen"]) == {"person:unseen": None}


def test_rotation_wraps_everything_anew_while_others_go_on(
    place: VaultPlace, owner: Store, tmp_path: Path
) -> None:
    keys = KeyFile.make(tmp_path / "vault.key")
    before = keys.current
    with Keyring.open(place.caller, place.key_file, "test") as old:
        old.keys_for(["item:old"])
    both = tmp_path / "both.key"
    both.write_bytes(keys.path.read_bytes() + place.key_file.read_bytes())
    rotating = KeyFile(both)
    made_by_old = rotating.ids[1]
    assert rotating.current == before
    with Keyring.open(place.caller, both, "test") as ring:
        made = ring.keys_for(["item:rotated", "item:old"])
        assert rotation.finish(owner, rotating) > 0
        assert rotation.finish(owner, rotating) == 0
        with Keyring.open(place.caller, both, "test") as other:
            assert other.find(["item:rotated", "item:old"]) == made
    assert owner.keks() == [before]
    rotating.destroy(made_by_old)
    with Keyring.open(place.caller, both, "test") as after:
        after.check()
        assert after.find(["item:rotated", "item:old"]) == made
    # Whoever still has the file of before is told so, and which file it is.
    with place.keyring() as stale:
        with pytest.raises(UnknownKeyError, match=str(place.key_file)):
            stale.check()
        with pytest.raises(UnknownKeyError, match=before):
            stale.find(["item:old"])
    place.key_file.write_bytes(both.read_bytes())


def test_who_has_the_file_of_before_wraps_nothing_more_and_takes_up_the_new_one(
    place: VaultPlace, owner: Store, tmp_path: Path
) -> None:
    keys, copy = KeyFile(place.key_file), tmp_path / "copy.key"
    copy.write_bytes(place.key_file.read_bytes())
    with place.keyring() as running, Keyring.open(place.caller, copy, "test") as stale:
        keys.create()
        rotation.finish(owner, keys)
        for kek_id in keys.ids[1:]:
            keys.destroy(kek_id)
        assert running.keys_for(["item:rotating"])["item:rotating"] is not None
        with pytest.raises(RetiredKeyError):
            stale.keys_for(["item:stale"])
    assert rows(place, "item:stale") == []
    assert rows(place, "item:rotating")[0][1] == keys.current


def test_a_key_destroyed_during_rotation_stays_destroyed(
    place: VaultPlace, owner: Store, ring: Keyring
) -> None:
    ring.keys_for(["item:meanwhile"])
    keys = KeyFile(place.key_file)
    keys.create()
    [(subject, old)] = [
        one for one in owner.wrapped_by_others(keys.current, "", 10_000) if "meanwhile" in one[0]
    ]
    ring.destroy(subject, "asked for it", "privacy")
    owner.replace([(subject, old, keys.rewrap(old, subject))])
    assert rows(place, subject) == [(None, None)]
    rotation.finish(owner, keys)


def test_a_vault_that_is_away_is_waited_for_and_comes_back(place: VaultPlace) -> None:
    with closing(Proxy(place.caller)) as proxy:
        with Keyring.open(proxy.dsn, place.key_file, "test") as ring:
            ring.keys_for(["item:1"])
            proxy.cut()
            with pytest.raises(UnavailableError, match="the vault"):
                ring.keys_for(["item:2"])
            assert ring.keys_for(["item:1"])["item:1"] is not None  # remembered
            proxy.down = False
            assert ring.keys_for(["item:2"])["item:2"] is not None


def test_a_vault_that_was_not_prepared_is_waited_for(
    place: VaultPlace, postgres_server: str
) -> None:
    with Keyring.open(postgres_server, place.key_file, "test") as ring:
        with pytest.raises(UnavailableError, match="placet prepare"):
            ring.check()
        with pytest.raises(UnavailableError, match="placet prepare"):
            ring.keys_for(["item:1"])


def test_an_operator_counts_rotates_and_destroys(place: VaultPlace, ring: Keyring) -> None:
    ring.keys_for(["item:of-an-operator"])
    where = ["--vault", place.owner, "--key-file", str(place.key_file)]

    def run(*options: str) -> Result:
        return CliRunner().invoke(app, list(options))

    before = json.loads(run("status", *where, "--json").stdout)
    assert run("rotate", "--new-key", *where).exit_code == Exit.DONE
    assert json.loads(run("status", *where, "--json").stdout)["wrapped_by_older"] == before["keys"]
    assert run("rotate", "--drop-old", *where).exit_code == Exit.DONE
    after = json.loads(run("status", *where, "--json").stdout)
    assert (after["keys"], after["wrapped_by_older"]) == (before["keys"], 0)
    assert after["in_file"] == [after["current"]] != [before["current"]]

    destroy = ["destroy", "item:of-an-operator", "--reason", "asked for it", *where[:2]]
    assert run(*destroy, "--no-input").exit_code == Exit.DECLINED
    with place.keyring() as other:
        assert other.find(["item:of-an-operator"])["item:of-an-operator"] is not None
    assert run(*destroy, "--yes").exit_code == Exit.DONE
    with place.keyring() as other:
        assert other.find(["item:of-an-operator"]) == {"item:of-an-operator": None}
    nobody = run("destroy", "of-an-operator", "--reason", "x", *where[:2], "--yes")
    assert nobody.exit_code == Exit.USAGE
