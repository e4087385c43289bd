"""The metrics are those that the contract promises and the page lists, and they count what they say."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.flows import sweep
from gateway.measures import ACROSS, DECLARED, LABELS, Across, Kind
from gateway.metrics import Metrics
from gateway.money import MICROS
from gateway.video import Balance
from gateway.web import operations
from gateway.wire import CallRecord
from tests.admin import person
from tests.replicas.world import street
from tests.web.test_operations import metrics
from tests.world import ALICE, BOB, FAST, SLOW, id_of, world
from tools import metrics as tool

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
PRICE = 0.28
MODEL = 'model="MiniMax-Hailuo-2.3"'

# CONTRACT section 5, word for word.
PROMISED = {
    "reelgate_requests_total": {"route", "method", "status", "dialect"},
    "reelgate_request_duration_seconds": {"route"},
    "reelgate_overhead_seconds": {"route"},
    "reelgate_upstream_requests_total": {"upstream", "operation", "outcome"},
    "reelgate_upstream_duration_seconds": {"upstream", "operation"},
    "reelgate_errors_total": {"fault", "reason"},
    "reelgate_preflight_refusals_total": {"reason"},
    "reelgate_tasks": {"state"},
    "reelgate_task_duration_seconds": {"model", "resolution"},
    "reelgate_key_state": {"upstream", "key", "state"},
    "reelgate_key_rotations_total": {"upstream", "reason"},
    "reelgate_budget_amount": {"virtual_key"},
    "reelgate_budget_spent": {"virtual_key"},
    "reelgate_budget_held": {"virtual_key"},
    "reelgate_spend_total": {"model"},
    "reelgate_polls_saved_total": set(),
    "reelgate_callbacks_total": {"outcome"},
    "reelgate_results_expiring": set(),
    "reelgate_build_info": {"version"},
}


def test_the_published_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == tool.page(), (
        "docs/metrics.md is out of date: python tools/metrics.py > docs/metrics.md"
    )


def test_every_promised_metric_is_there_with_exactly_its_labels() -> None:
    declared = {it.name: set(it.labels) for it in DECLARED}
    assert {name: declared[name] for name in PROMISED} == PROMISED


def test_every_metric_is_named_as_prometheus_wishes_and_every_label_is_explained() -> None:
    assert len({it.name for it in DECLARED}) == len(DECLARED)
    for it in DECLARED:
        assert re.fullmatch(r"reelgate_[a-z_]+", it.name)
        assert it.name.endswith("_total") == (it.kind is Kind.COUNTER), it.name
        assert it.name.endswith("_seconds") == (it.unit.startswith("seconds")), it.name
        assert it.says.endswith(".")
        assert not set(it.says) & set('\\\n"'), it.name
        assert list(it.buckets) == sorted(set(it.buckets))
        assert (it.kind is Kind.HISTOGRAM) == bool(it.buckets)
        assert set(it.labels) <= set(LABELS), it.name
    assert set(LABELS) == {label for it in DECLARED for label in it.labels}


def test_what_is_counted_is_added_up_over_processes_and_what_is_shared_is_not() -> None:
    own = {"reelgate_under_way", "reelgate_under_way_max"}  # every process has places of its own
    assert {it.name: it.across is Across.SUM for it in DECLARED} == {
        it.name: it.kind is not Kind.GAUGE or it.name in own for it in DECLARED
    }
    assert ACROSS["reelgate_storage_up"] is Across.MIN


def test_names_are_escaped_and_figures_are_exact() -> None:
    told = Metrics()
    told.count_money({'a"b\\c': Balance(50 * MICROS, 280_000, 1)}, {"films": Balance(None, 0, 0)})
    told.call(CallRecord("up\nstream", "main", "poll", "2xx", 0.01))
    lines = told.exposition().decode().splitlines()
    assert r'reelgate_budget_amount{virtual_key="a\"b\\c"} 50.0' in lines
    assert r'reelgate_budget_held{virtual_key="a\"b\\c"} 0.28' in lines
    assert r'reelgate_budget_spent{virtual_key="a\"b\\c"} 1e-06' in lines
    assert 'reelgate_budget_spent{virtual_key="team:films"} 0.0' in lines
    assert not any(line.startswith('reelgate_budget_amount{virtual_key="team:') for line in lines)
    assert r'reelgate_upstream_requests_total{operation="poll",outcome="2xx",upstream="up\nstream"} 1.0' in lines
    assert not any("_created" in line for line in lines)


def test_a_status_that_no_standard_knows_is_no_label() -> None:
    told = Metrics()
    for status in (99, 777, 299, 777):
        told.request("/v1/{passthrough}", "GET", status, "openai", duration_s=0.1, overhead_s=0.1)
    found = re.findall(r'reelgate_requests_total\{.*status="(\w+)"\} (\S+)', told.exposition().decode())
    assert dict(found) == {"299": "1.0", "other": "3.0"}


def test_an_unknown_model_that_is_forwarded_brings_no_word_into_the_labels(tmp_path: Path) -> None:
    config = (
        "preflight: {unknown_models: forward, images: 'off'}\n"
        "upstreams: [{name: sandbox, provider: evolink, base_url: '${UPSTREAM}/evolink', models: ['*'], "
        "keys: [{id: main, value: sk-up}]}]"
    )

    async def scenario() -> None:
        async with world(tmp_path, config) as it:
            told = it.parts.catalog
            assert (told.label("xylophone-7"), told.label_of_resolution("xylophone-7", "4242P")) == ("other", "other")
            assert told.label("minimax-hailuo-2.3") == "MiniMax-Hailuo-2.3"
            assert told.label_of_resolution("MiniMax-Hailuo-2.3", "768P") == "768P"
            assert told.label_of_resolution("MiniMax-Hailuo-2.3", "4242P") == "other"
            assert told.label_of_resolution("S2V-01", None) == "none"
            await it.create(model="xylophone-7", quality="4242p")
            text = (await it.http.get("/metrics")).text.lower()
            assert "xylophone" not in text
            assert "4242" not in text

    asyncio.run(scenario())


def test_what_is_refused_before_it_is_sent_is_counted_by_reason(tmp_path: Path) -> None:
    config = (
        f"virtual_keys: [{{id: alice, value: {ALICE}, budget: {{amount: 0.3}}, models: ['*2.3']}}, "
        f"{{id: bob, value: {BOB}, max_tasks: 1}}]\nadmin_key: {person.ADMIN_KEY}"
    )

    async def scenario() -> None:
        async with world(tmp_path, config, speed=SLOW) as it:
            await it.create()
            for refused in (
                await it.create(),  # the budget
                await it.create(model="nobody"),
                await it.create(model="MiniMax-Hailuo-02"),
                await it.create(duration=7),
            ):
                assert refused.status_code >= 400
            await it.create(key=BOB)
            assert (await it.create(key=BOB)).status_code == 429
            await person.told(it, "POST", "/freeze")
            assert (await it.create(key=BOB)).status_code >= 400
            found = await metrics(it)
            reasons = (
                "budget_spent",
                "unknown_model",
                "model_not_allowed",
                "invalid_request",
                "too_many_tasks",
                "frozen",
            )
            for reason in reasons:
                assert found[f'reelgate_preflight_refusals_total{{reason="{reason}"}}'] == 1, reason
            assert found["reelgate_frozen"] == 1

    asyncio.run(scenario())


def test_whatever_settles_money_is_spend(tmp_path: Path) -> None:
    config = (
        "upstreams: [{name: sandbox, provider: evolink, base_url: '${UPSTREAM}/evolink', failed_generations: settle, "
        f"keys: [{{id: main, value: sk-up}}]}}]\nadmin_key: {person.ADMIN_KEY}\nreconcile: {{give_up_after_s: 0.001}}"
    )

    async def scenario() -> None:
        async with world(tmp_path, config) as it:
            await it.finished_film()
            await it.finished_film(prompt="p #sandbox:fail-generation")
            lost = id_of(await it.create(prompt="p #sandbox:drop-after-accept"))
            await sweep.sweep(it.parts)
            found = await metrics(it)
            assert found[f"reelgate_spend_total{{{MODEL}}}"] == pytest.approx(2 * PRICE)
            assert found['reelgate_held_amount{money="suspended"}'] == pytest.approx(PRICE)
            assert found['reelgate_oldest_hold_seconds{money="suspended"}'] > 0
            assert found['reelgate_held_amount{money="held"}'] == 0
            assert found['reelgate_oldest_hold_seconds{money="held"}'] == 0
            failures = f'reelgate_task_failures_total{{{MODEL},reason="'
            assert found[f'{failures}generation_failed_no_content"}}'] == 1
            assert found[f'{failures}submission_unconfirmed"}}'] == 1
            await person.told(it, "POST", f"/tasks/{lost}/settle", json={"reason": "the invoice has it"})
            found = await metrics(it)
            assert found[f"reelgate_spend_total{{{MODEL}}}"] == pytest.approx(3 * PRICE)
            assert found['reelgate_held_amount{money="suspended"}'] == 0

    asyncio.run(scenario())


def test_the_age_of_a_hold_is_that_of_the_oldest(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, speed=SLOW) as it:
            await it.create()
            await it.create()
            first = (await metrics(it))['reelgate_oldest_hold_seconds{money="held"}']
            await asyncio.sleep(0.05)
            later = await metrics(it)
            assert later['reelgate_oldest_hold_seconds{money="held"}'] >= first + 0.05
            assert later['reelgate_held_amount{money="held"}'] == pytest.approx(2 * PRICE)

    asyncio.run(scenario())


def test_films_that_nobody_keeps_are_counted_and_their_age_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            found = await metrics(it)
            assert (found["reelgate_results_expiring"], found["reelgate_oldest_result_seconds"]) == (0, 0)
            await it.finished_film()
            found = await metrics(it)
            assert found["reelgate_results_expiring"] == 1
            assert found["reelgate_oldest_result_seconds"] > 0

    asyncio.run(scenario())


@pytest.mark.falsifies_books
def test_the_auditor_tells_of_books_that_do_not_add_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            await it.finished_film()
            assert "reelgate_books_drift" not in await metrics(it)
            await sweep.audit(it.parts)
            found = await metrics(it)
            assert found["reelgate_books_drift"] == 0
            assert found["reelgate_books_audited_timestamp_seconds"] > 1e9

            def falsify(connection: Any) -> None:
                connection.exec_driver_sql("UPDATE accounts SET spent = spent + 1")

            await it.parts.database.run(falsify)
            await sweep.audit(it.parts)
            assert (await metrics(it))["reelgate_books_drift"] >= 1

    asyncio.run(scenario())


def test_every_kind_of_error_is_there_before_its_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            found = await metrics(it)
            assert found['reelgate_errors_total{fault="gateway",reason="internal_error"}'] == 0
            assert found['reelgate_errors_total{fault="caller",reason="unknown_task"}'] == 0
            assert found['reelgate_errors_total{fault="upstream",reason="upstream_error"}'] == 0
            assert 'reelgate_errors_total{fault="caller",reason="internal_error"}' not in found
            assert found['reelgate_preflight_refusals_total{reason="budget_spent"}'] == 0
            assert 'reelgate_preflight_refusals_total{reason="upstream_error"}' not in found
            assert found[f"reelgate_spend_total{{{MODEL}}}"] == 0
            assert found['reelgate_callbacks_total{outcome="gone"}'] == 0

    asyncio.run(scenario())


def test_a_storage_that_hangs_holds_up_no_scrape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:

            async def never(*asked: object) -> None:
                await asyncio.get_running_loop().create_future()

            monkeypatch.setattr(operations, "WITHIN_S", 0.05)
            monkeypatch.setattr(operations, "SILENT_FOR_S", 0.01)
            monkeypatch.setattr(type(it.parts.books), "totals", never)
            assert (await metrics(it))["reelgate_storage_up"] == 0

    asyncio.run(scenario())


def test_where_storage_is_down_everything_else_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            await it.finished_film()
            assert (await metrics(it))["reelgate_storage_up"] == 1
            await it.parts.database.close()
            found = await metrics(it)
            assert found["reelgate_storage_up"] == 0
            assert found[f"reelgate_spend_total{{{MODEL}}}"] == pytest.approx(PRICE)
            assert found['reelgate_key_state{key="main",state="ok",upstream="sandbox"}'] == 1
            for name in (
                "reelgate_tasks",
                "reelgate_budget_spent",
                "reelgate_results_expiring",
                "reelgate_held_amount",
            ):
                assert not any(sample.startswith(name) for sample in found), name

    asyncio.run(scenario())


def test_replicas_tell_the_same_of_storage_and_each_its_own_of_what_it_did(tmp_path: Path) -> None:
    async def scenario() -> None:
        storage = f"sqlite:///{tmp_path / 'reelgate.db'}"
        async with street(tmp_path, storage, speed=FAST) as lane, lane.replica() as one, lane.replica() as other:
            for replica in (one, one, other):
                await replica.finished_film()
            here, there = await metrics(one), await metrics(other)
            spend = f"reelgate_spend_total{{{MODEL}}}"
            # Whichever of them saw the end of a film has counted it, and no other.
            assert round(sum(replica.get(spend, 0.0) for replica in (here, there)) / PRICE) == 3
            for shared in ('reelgate_tasks{state="completed"}', 'reelgate_budget_spent{virtual_key="alice"}'):
                assert here[shared] == there[shared] > 0

    asyncio.run(scenario())
