"""Camera commands on their way from a caller's prompt to an upstream."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.web.videos import WARNINGS_BYTES_MAX, fit_for_header
from tests.preflight.orders import PATHS, SELLERS, assert_untouched, create, problems, try_out
from tests.world import id_of, world

MODEL = "MiniMax-Hailuo-2.3"
RIGHT, MISSPELT = "a ship [Push in,Pan left] at dawn", "a ship [Push out] at dawn"
QUESTION = "`[Push out]` is not a camera command; did you mean `[Pull out]` or `[Push in]`?"


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story, 120))


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("policy", ["warn", "reject", "off"])
def test_an_unknown_command_is_warned_of_refused_or_let_pass(dialect: str, policy: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, f'preflight: {{camera_commands: "{policy}"}}\n{SELLERS}') as it:
            order = {"model": MODEL, "prompt": MISSPELT}
            answer = await create(it, dialect, order)
            if policy == "reject":
                (problem,) = problems(dialect, answer)
                assert (problem["param"], problem["message"]) == ("prompt", QUESTION)
                assert "[Pull out]" in problem["allowed"]
                assert len(problem["allowed"]) == 15
                assert problems(dialect, await try_out(it, dialect, order)) == [problem]
                assert_untouched(it)
                return
            assert id_of(answer)
            said = json.loads(answer.headers.get("x-reelgate-warnings", "[]"))
            assert said == ([QUESTION] if policy == "warn" else [])
            (video,) = it.videos()
            assert video["request"]["prompt"] == MISSPELT, "what is not understood is sent as it is"

    run(story())


@pytest.mark.parametrize("policy", ["warn", "reject"])
def test_another_spelling_is_sent_in_the_canonical_one_and_said(policy: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, f"preflight: {{camera_commands: {policy}}}\n{SELLERS}") as it:
            answer = await create(it, "evolink", {"model": MODEL, "prompt": "a ship [dolly out] at [PAN LEFT] dawn"})
            assert id_of(answer)
            assert json.loads(answer.headers["x-reelgate-warnings"]) == [
                "the camera command `[dolly out]` is sent as `[Pull out]`",
                "the camera command `[PAN LEFT]` is sent as `[Pan left]`",
            ]
            (video,) = it.videos()
            assert video["request"]["prompt"] == "a ship [Pull out] at [Pan left] dawn"

    run(story())


def test_the_spelling_of_a_command_does_not_make_another_request(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, SELLERS) as it:
            ids = {
                id_of(await create(it, "evolink", {"model": MODEL, "prompt": prompt}, **{"idempotency-key": "one"}))
                for prompt in ("a ship [dolly in]", "a ship [Push in]")
            }
            assert len(ids) == 1

    run(story())


@pytest.mark.parametrize("model", ["T2V-01", "T2V-01-Director"])
def test_a_model_that_takes_no_commands_is_named(model: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, f"preflight: {{camera_commands: reject}}\n{SELLERS}") as it:
            answer = await create(it, "minimax", {"model": model, "prompt": RIGHT})
            assert id_of(answer), "the video comes out all the same"
            said = json.loads(answer.headers.get("x-reelgate-warnings", "[]"))
            assert [f"{model} is not documented to take camera commands" in line for line in said] == (
                [True] if model == "T2V-01" else []
            )

    run(story())


def test_a_prompt_that_is_too_long_is_refused_for_that_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, f"preflight: {{camera_commands: reject}}\n{SELLERS}") as it:
            prompt = "[Push out]" * 201
            (problem,) = problems("evolink", await create(it, "evolink", {"model": MODEL, "prompt": prompt}))
            assert "2010 characters" in problem["message"]
            assert_untouched(it)

    run(story())


@pytest.mark.parametrize(
    ("literals", "sent"),
    [("as-is", "[推进] [Pan left]"), ("en", "[Push in] [Pan left]"), ("zh", "[推进] [左摇]")],
)
def test_an_upstream_gets_the_literals_it_is_configured_for(literals: str, sent: str, tmp_path: Path) -> None:
    config = f"""
upstreams:
  - name: up
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    camera_commands: {literals}
    keys: [{{value: sk}}]
"""

    async def story() -> None:
        async with world(tmp_path, config) as it:
            order = {"model": MODEL, "prompt": "[推进] [Pan left]"}
            dry = await try_out(it, "evolink", order)
            assert dry.json()["upstream_request"]["body"]["prompt"] == sent
            assert id_of(await create(it, "evolink", order))
            (video,) = it.videos()
            assert video["request"]["prompt"] == sent

    run(story())


def test_an_upstream_for_which_the_prompt_grows_too_long_is_passed_by(tmp_path: Path) -> None:
    """Spelt out in English, 400 Chinese commands have 3,600 characters."""
    config = """
upstreams:
  - {name: english, provider: evolink, base_url: "${UPSTREAM}/evolink", camera_commands: en, keys: [{value: sk}]}
"""
    other = '  - {name: other, provider: evolink, base_url: "${UPSTREAM}/evolink", priority: 1, keys: [{value: sk}]}\n'
    order = {"model": MODEL, "prompt": "[推进]" * 400}

    async def story() -> None:
        async with world(tmp_path, config + other) as it:
            answer = await create(it, "evolink", order)
            assert id_of(answer)
            assert answer.headers["x-reelgate-upstream"] == "other"
        alone = tmp_path / "alone"
        alone.mkdir()
        async with world(alone, config) as it:
            for refused in (await create(it, "evolink", order), await try_out(it, "evolink", order)):
                (problem,) = problems("evolink", refused)
                assert (problem["param"], "3600 characters" in problem["message"]) == ("prompt", True)
            assert_untouched(it)

    run(story())


@pytest.mark.parametrize("warning", ["x" * 100, "鹤" * 100, "x" * 3_000])
def test_warnings_always_fit_a_header(warning: str) -> None:
    for count in (0, 1, 3, 50):
        header = fit_for_header([f"{number} {warning}" for number in range(count)])
        assert len(header) <= WARNINGS_BYTES_MAX
        header.decode("ascii")
        told = json.loads(header)
        whole = [line for line in told if line.endswith(warning[-1])]
        assert told == whole or told[-1] == f"and {count - len(whole)} more; a dry run tells all"
        assert len(whole) == count or len(told) == len(whole) + 1
