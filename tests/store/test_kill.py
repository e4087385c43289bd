"""Whatever was answered before a SIGKILL is in the database after it (FAILURES section 1, order of writes)."""

import random
import signal
import subprocess
import sys
import time

KILLS = 6  # on each kind of database
OPENS_FOR_EVER = """
import asyncio, sys, time
from gateway.store import Database, Registry, prepare
from gateway.video import Caller, Mode, Offer, Receipt, Route, VideoRequest

async def customer(registry):
    request = VideoRequest(model="m", prompt="p", resolution="768P", duration_s=6, dialect="evolink")
    while True:
        now = time.time()
        offer, route = Offer("m", Mode.TEXT, "768P", 6, 280000), Route("evo", "key-1")
        task, _ = await registry.open(request, Caller("alice"), offer, route, currency="USD", now=now)
        print("opened", task.id, flush=True)
        await registry.start(task, Receipt(f"u-{task.id}"), now)
        print("running", task.id, flush=True)

async def main():
    db = Database.open(sys.argv[1])
    await prepare(db)
    registry = Registry(db)
    await registry.recover(time.time())
    await asyncio.gather(*[customer(registry) for _ in range(8)])

asyncio.run(main())
"""


def test_what_was_answered_survives_a_kill(world):
    dice = random.Random(20)
    answered = {"opened": set(), "running": set()}
    for _ in range(KILLS):
        command = [sys.executable, "-c", OPENS_FOR_EVER, world.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            first = child.stdout.readline()
            time.sleep(dice.uniform(0, 0.1))
            child.send_signal(signal.SIGKILL)
            heard = first + child.stdout.read()
        assert child.returncode == -signal.SIGKILL
        for line in heard.splitlines(keepends=True):
            if line.endswith("\n"):  # the last one may be torn
                state, number = line.split()
                answered[state].add(int(number))
    if world.url.startswith("postgresql"):  # a server may still be at what the last one asked for
        world.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    found = dict(world.execute("SELECT id, state FROM tasks"))
    assert len(answered["running"]) > KILLS
    assert answered["opened"] <= found.keys()
    assert {found[number] for number in answered["running"]} == {"running"}
    unanswered = found.keys() - answered["running"]
    assert {found[number] for number in unanswered} <= {"running", "opened", "unconfirmed"}
    assert world.execute("SELECT count(*) FROM tasks") == world.execute("SELECT count(*) FROM attempts")
    assert world.execute("SELECT outcome FROM attempts JOIN tasks ON id = task_id WHERE state = 'opened'").count(
        ("intent",)
    ) == list(found.values()).count("opened")
    if world.url.startswith("sqlite"):
        assert world.execute("PRAGMA integrity_check") == [("ok",)]
