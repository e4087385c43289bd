"""Whoever was told by one replica that a task is done gets the film from any."""

import asyncio
from pathlib import Path

from tests.replicas.world import street
from tests.world import ALICE, Clock, bearer, id_of


def test_a_film_is_given_out_by_a_replica_that_has_not_heard_of_its_end(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        clock = Clock()
        async with (
            street(tmp_path, storage, clock=clock, speed=1.0) as here,
            here.replica() as one,
            here.replica() as other,
        ):
            word = id_of(await one.create())
            clock.walk(120)
            # The other one has just read storage and does not do so again at this very moment, which stands still.
            await other.read(word)
            assert (await one.finish(word))["status"] == "completed"
            film = await other.http.get(f"/v1/videos/{word}/content", headers=bearer(ALICE))
            assert film.status_code == 200, film.text
            assert film.content[4:8] == b"ftyp"

    asyncio.run(story())
