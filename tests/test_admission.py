"""Whom a process lets in: the configuration's keys, storage's, and what comes of both knowing the same."""

from typing import Any

from gateway.admission import Admission
from gateway.video import Budget, Caller
from gateway.virtual_keys import Issued, Roll, Team, VirtualKey

LOCAL = Caller("local")


def configured(name: str, **said: Any) -> Issued:
    return Issued(key=VirtualKey(id=name, **said), digest=f"digest of {name}")


def stored(name: str, digest: str = "", revoked_at: float | None = None, **said: Any) -> Issued:
    key = VirtualKey(id=name, **said)
    return Issued(key=key, digest=digest or f"stored digest of {name}", created_at=1.0, revoked_at=revoked_at)


def admitted(known: Admission) -> dict[str, str]:
    """Digest → whom it stands for."""
    assert all(digest == again for digest, (again, _) in known.callers.items())
    return {digest: caller.key_id for digest, (_, caller) in known.callers.items()}


def test_keys_of_both_open_and_revoked_ones_do_not() -> None:
    known = Admission([configured("alice")])
    assert admitted(known) == {"digest of alice": "alice"}
    known.learn(Roll(version=1, keys=(stored("carol"), stored("dave", revoked_at=2.0))))
    assert admitted(known) == {"digest of alice": "alice", "stored digest of carol": "carol"}
    assert [item.key.id for item in known.issued()] == ["alice", "carol", "dave"]


def test_the_configuration_wins_whatever_storage_says_of_a_name() -> None:
    known = Admission([configured("alice", rpm=1)], [Team("films", Budget(5))])
    roll = Roll(version=1, keys=(stored("alice", rpm=9),), teams=(Team("films", Budget(9)), Team("press")))
    known.learn(roll)
    assert admitted(known) == {"digest of alice": "alice"}
    assert known.teams() == [Team("films", Budget(5)), Team("press")]
    said = known.conflicts()
    assert [sentence.partition(" is ")[0] for sentence in said] == ["virtual_keys: alice", "teams: films"]
    assert all("configuration" in sentence for sentence in said)


def test_a_text_that_both_know_is_the_configurations_key() -> None:
    known = Admission([configured("alice")])
    known.learn(Roll(version=1, keys=(stored("carol", digest="digest of alice"),)))
    assert admitted(known) == {"digest of alice": "alice"}


def test_teams_of_either_reach_the_keys_of_both() -> None:
    known = Admission([configured("alice", team="stored-team")], [Team("configured-team", Budget(1))])
    keys = (stored("carol", team="configured-team"), stored("dave", team="stored-team"), stored("eve", team="nowhere"))
    known.learn(Roll(version=1, keys=keys, teams=(Team("stored-team", Budget(2)),)))
    budgets = {caller.key_id: caller.team_budget for _, caller in known.callers.values()}
    assert budgets == {"alice": Budget(2), "carol": Budget(1), "dave": Budget(2), "eve": None}
    (sentence,) = known.conflicts()
    assert "eve" in sentence
    known.learn(Roll(version=2, keys=keys, teams=(Team("stored-team", Budget(3)), Team("nowhere", Budget(4)))))
    budgets = {caller.key_id: caller.team_budget for _, caller in known.callers.values()}
    assert budgets == {"alice": Budget(3), "carol": Budget(1), "dave": Budget(3), "eve": Budget(4)}
    assert known.conflicts() == []


def test_everyone_is_let_in_until_the_first_key_and_never_again() -> None:
    known = Admission(anyone=LOCAL)
    assert known.anyone == LOCAL
    known.learn(Roll(version=1, teams=(Team("films"),)))
    assert known.anyone == LOCAL
    known.learn(Roll(version=2, keys=(stored("carol"),)))
    assert known.anyone is None
    known.learn(Roll(version=3, keys=(stored("carol", revoked_at=2.0),)))
    assert (known.anyone, admitted(known)) == (None, {})
    assert Admission([configured("alice")], anyone=LOCAL).anyone is None


def test_an_older_roll_that_comes_later_teaches_nothing() -> None:
    known = Admission()
    known.learn(Roll(version=5, keys=(stored("carol", revoked_at=2.0),)))
    known.learn(Roll(version=4, keys=(stored("carol"),)))
    assert (known.version, admitted(known)) == (5, {})


def test_a_freeze_is_known_as_long_as_it_lasts() -> None:
    known = Admission()
    known.learn(Roll(version=0))
    assert (known.is_frozen, known.frozen_since) == (False, None)
    known.learn(Roll(version=1, frozen_since=7.0))
    assert (known.is_frozen, known.frozen_since) == (True, 7.0)
    known.learn(Roll(version=2))
    assert not known.is_frozen


def test_money_is_counted_for_whoever_can_spend_it() -> None:
    known = Admission([configured("alice", budget=Budget(1))], [Team("films", Budget(2))], anyone=LOCAL)
    known.learn(Roll(version=1, keys=(stored("carol"), stored("dave", revoked_at=2.0)), teams=(Team("press"),)))
    assert known.owners() == ({"alice": Budget(1), "carol": None}, {"films": Budget(2), "press": None})
    assert Admission(anyone=LOCAL).owners() == ({"local": None}, {})


def test_how_a_key_stands_is_asked_by_its_name() -> None:
    known = Admission([configured("alice", expires_at=50.0)], anyone=LOCAL)
    known.learn(Roll(version=1, keys=(stored("carol", team="press"), stored("dave", revoked_at=2.0))))
    carol = known.standing("carol", 9.0)
    assert carol is not None
    assert carol.team_budget is None
    known.learn(Roll(version=2, keys=(stored("carol", team="press"),), teams=(Team("press", Budget(3)),)))
    carol = known.standing("carol", 9.0)
    assert carol is not None
    assert carol.team_budget == Budget(3)
    known.learn(Roll(version=3, keys=(stored("carol"), stored("dave", revoked_at=2.0))))
    assert [known.standing("alice", now) is None for now in (49.0, 50.0)] == [False, True]
    assert [known.has_expired("alice", now) for now in (49.0, 50.0)] == [False, True]
    assert known.standing("dave", 9.0) is None
    assert (known.is_revoked("dave"), known.has_expired("dave", 9.0)) == (True, False)
    assert known.standing("somebody", 9.0) is None
    assert not known.is_revoked("somebody"), "it may be another process'"
    assert not known.has_expired("somebody", 9.0)
    assert known.standing("local", 9.0) is None


def test_whoever_everyone_is_stands_while_there_are_no_keys() -> None:
    known = Admission(anyone=LOCAL)
    assert known.standing("local", 9.0) == LOCAL
    assert not known.is_revoked("local")
    known.learn(Roll(version=1, keys=(stored("carol"),)))
    assert known.standing("local", 9.0) is None
    assert known.is_revoked("local")
