"""A receipt that the database could not take survives beside it, and comes home at the next start."""

import json
import logging
import os

import pytest

from gateway.errors import StorageDown
from gateway.store import Journal, Registry, Verdict
from gateway.store import journal as journal_module
from gateway.video import Receipt, Route, State


def append(journal, task, upstream_id, **changes):
    entry = {"upstream": task.upstream, "key_id": task.key_id, "upstream_id": upstream_id, "at": task.created_at + 5}
    journal.append(task.id, **{**entry, **changes})


def test_a_receipt_is_a_line_on_the_disk(file, run, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    journal = Journal.beside(file.path)
    journal.append(7, "evo", "key-1", "u-7", 5)
    assert journal.path == file.path.with_name("tasks.db.journal")
    assert synced == [journal.path.stat().st_ino, file.path.parent.stat().st_ino]
    journal.append(8, "evo", "key-1", "u-8", 6)
    assert synced[2:] == [journal.path.stat().st_ino]  # its name is known by now
    lines = [json.loads(line) for line in journal.path.read_text().splitlines() if line]
    assert lines[0] == {"task": 7, "upstream": "evo", "key_id": "key-1", "upstream_id": "u-7", "at": 5.0}
    assert [line["task"] for line in lines] == [7, 8]


def test_replay_starts_what_was_accepted_and_removes_the_file(file, run):
    async def story():
        journal = Journal.beside(file.path)
        async with file.registry() as registry:
            opened, doubted = await file.opened(registry), await file.in_state(registry, State.UNCONFIRMED)
            assert await journal.replay(registry) == 0
            append(journal, opened, "u-1")
            append(journal, doubted, "u-2")
        async with file.registry() as registry:
            assert await journal.replay(registry) == 2
            assert not journal.path.exists()
            assert not journal.rejected_path.exists()
            for task, upstream_id in ((opened, "u-1"), (doubted, "u-2")):
                found = await registry.get(task.id)
                assert (found.state, found.upstream_id) == (State.RUNNING, upstream_id)
                assert found.started_at == file.now + 5
            assert await registry.recover(file.now) == 0

    run(story)


def test_a_kill_between_applying_and_removing_is_made_good_by_the_next_start(file, run):
    async def story():
        journal = Journal.beside(file.path)
        async with file.registry() as registry:
            task, other = await file.opened(registry), await file.opened(registry)
            append(journal, task, "u-1")
            append(journal, other, "u-2", key_id="another key")
            kept = journal.path.read_bytes()
            await journal.replay(registry)
            started, rejected = await registry.get(task.id), journal.rejected_path.read_bytes()
            journal.path.write_bytes(kept)  # as if the process had died before it was removed
            assert await journal.replay(registry) == 1
            assert await registry.get(task.id) == started
            assert journal.rejected_path.read_bytes() == rejected
            assert not journal.path.exists()

    run(story)


def test_a_torn_line_is_skipped_with_a_warning_and_spoils_no_other(file, run, caplog):
    async def story():
        journal = Journal.beside(file.path)
        async with file.registry() as registry:
            first, second = await file.opened(registry), await file.opened(registry)
            append(journal, first, "u-1")
            with journal.path.open("ab") as torn:
                torn.write('\n{"task": 12, "upstream": "é'.encode()[:-1])
            append(journal, second, "u-2")
            with journal.path.open("ab") as torn:
                torn.write(b'\n{"task": 13, "upst')
            with caplog.at_level(logging.WARNING):
                assert await journal.replay(registry) == 2
            assert "torn" in caplog.text
            assert (await registry.state_counts())[State.RUNNING] == 2
            kept = journal.rejected_path.read_text()  # evidence is not thrown away
            assert '"task": 12' in kept
            assert '"task": 13' in kept

    run(story)


def test_what_cannot_be_applied_is_kept_for_a_person(file, run):
    async def story():
        journal = Journal.beside(file.path)
        async with file.registry() as registry:
            good, twin = await file.opened(registry), await file.opened(registry)
            refused, elsewhere = await file.in_state(registry, State.REFUSED), await file.opened(registry)
            append(journal, good, "u-1")
            append(journal, twin, "u-1")
            append(journal, refused, "u-2")
            append(journal, elsewhere, "u-3", upstream="toa")
            journal.append(404, "evo", "key-1", "u-4", 1)
            with journal.path.open("a") as more:
                more.write('[]\n{"task": "x"}\nnot json\n')
            assert await journal.replay(registry) == 1
            lines = journal.rejected_path.read_text().splitlines()
            assert len(lines) == 7
            assert [json.loads(line)["task"] for line in lines[:4]] == [twin.id, refused.id, elsewhere.id, 404]
            assert not journal.path.exists()
            assert (await registry.get(twin.id)).state is State.OPENED

    run(story)


def test_the_journal_stays_while_the_database_still_fails(file, run):
    async def story():
        journal = Journal.beside(file.path)
        async with file.database() as db:
            registry = Registry(db)
            tasks = [await file.opened(registry) for _ in range(2)]
            for number, task in enumerate(tasks):
                append(journal, task, f"u-{number}")
            kept = journal.path.read_bytes()
            await db.run(lambda connection: connection.exec_driver_sql("PRAGMA query_only=ON"))
            with pytest.raises(StorageDown):
                await journal.replay(registry)
            assert journal.path.read_bytes() == kept
            await db.run(lambda connection: connection.exec_driver_sql("PRAGMA query_only=OFF"))
            assert await journal.replay(registry) == 2

    run(story)


def test_the_rejected_file_is_on_the_disk_before_the_journal_goes(file, run, monkeypatch):
    async def story():
        journal = Journal.beside(file.path)
        async with file.registry() as registry:
            journal.append(404, "evo", "key-1", "u-4", 1)

            def fails(path, text):
                raise OSError("no space left")

            monkeypatch.setattr(journal_module, "_append_synced", fails)
            with pytest.raises(OSError, match="no space"):
                await journal.replay(registry)
            assert journal.path.exists()

    run(story)


def test_a_turned_task_takes_only_the_receipt_of_its_last_route(file, run):
    async def story():
        journal = Journal.beside(file.path)
        async with file.registry() as registry:
            task = await file.opened(registry)
            turned = await registry.turn(task, Verdict("rate_limited", "H20"), Route("evo", "key-2"), file.now)
            append(journal, task, "u-1")
            append(journal, turned, "u-2")
            assert await journal.replay(registry) == 1
            assert (await registry.get(task.id)).upstream_id == "u-2"
            assert await registry.start(turned, Receipt("u-2"), file.now) == await registry.get(task.id)

    run(story)
