"""Every operation of the document is called with what it allows and with what it does not, and along its links.

`make test` asks for some thousand calls; `make soak` for many times as many, below every prefix (REELGATE_SOAK=1).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.dialects import DIALECTS
from tests.openapi.described import Calls, call, describe
from tests.openapi.world import ADMIN_KEY, Served, served

IS_SOAK = os.environ.get("REELGATE_SOAK") == "1"
EXAMPLES, SCENARIOS = (400, 200) if IS_SOAK else (8, 8)
PREFIXED = "_prefixed_"
# What changes what the other calls find: nobody could order any more.
NOT_TO_BE_CALLED = "^admin_(freeze|delete_key|revoke_key|reconcile)$"


def told(calls: Calls) -> str:
    return "\n\n".join(f"{name}\n{words}" for name, words in calls.failures.items())


def test_what_the_document_allows_is_taken_and_answered_as_it_says(tmp_path: Path) -> None:
    with served(tmp_path) as gateway:
        calls = call(
            describe(
                gateway.base_url,
                phases=("examples", "coverage", "fuzzing"),
                modes=("positive",),
                examples=EXAMPLES,
                exclude="" if IS_SOAK else PREFIXED,
            )
        )
        assert calls.failures == {}, told(calls)
        assert len(calls.orders) > 20
        # Each was bought once; what an upstream refused was opened and not bought.
        counts = gateway.counts()
        assert counts["videos"] == len(calls.orders) <= counts["tasks"]
        creates = {f"{name}_create" for name in ("shared", "newapi", "openai", "minimax")}
        assert creates | {"openai_list", "evolink_credits", "toapis_credits", "any_models", "metrics"} <= {
            name for name, statuses in calls.statuses.items() if 200 in statuses
        }


def test_what_the_document_does_not_allow_is_refused_and_opens_nothing(tmp_path: Path) -> None:
    with served(tmp_path) as gateway:
        calls = call(
            describe(
                gateway.base_url,
                phases=("coverage", "fuzzing"),
                modes=("negative",),
                examples=EXAMPLES,
                exclude="" if IS_SOAK else f"{PREFIXED}|^(health|readiness|document|metrics)",
            )
        )
        assert calls.failures == {}, told(calls)
        assert calls.count > 1000
        assert all(status < 500 for statuses in calls.statuses.values() for status in statuses)
        # Header fields that nobody knows are nobody's business, so such an order is none that is not allowed.
        assert all("x-schemathesis-unknown-property" in order for order in calls.orders)
        assert gateway.counts() == {"tasks": len(calls.orders), "videos": len(calls.orders)}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("gateway")) as opened:
        yield opened


@pytest.mark.parametrize("name", DIALECTS)
def test_the_links_of_a_create_lead_to_its_task(name: str, gateway: Served) -> None:
    bought = gateway.counts()["videos"]
    described = describe(
        gateway.base_url,
        phases=("stateful",),
        modes=("positive",),  # else half of the links are not followed, but called with what is not allowed
        examples=SCENARIOS,
        include=f"^{name}{PREFIXED}",
    )
    calls = call(described)
    assert calls.failures == {}, told(calls)
    assert calls.followed > SCENARIOS
    assert gateway.counts()["videos"] - bought == len(calls.orders) > 0
    for action in ("create", "read"):
        assert 200 in calls.statuses[f"{name}{PREFIXED}{action}"]


def test_the_admin_paths_are_as_the_document_says(tmp_path: Path) -> None:
    with served(tmp_path, f"admin_key: {ADMIN_KEY}\n") as gateway:
        calls = call(
            describe(
                gateway.base_url,
                phases=("coverage", "fuzzing"),
                examples=EXAMPLES,
                include="^admin_",
                exclude=NOT_TO_BE_CALLED,
                key=ADMIN_KEY,
            )
        )
        assert calls.failures == {}, told(calls)
        assert {200, 400, 404} <= {status for statuses in calls.statuses.values() for status in statuses}
        assert gateway.counts() == {"tasks": 0, "videos": 0}
