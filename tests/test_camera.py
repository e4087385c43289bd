"""Camera commands: what is right, what is put right, what is asked about, and what is nobody's business."""

import json
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.camera import COMMANDS, Linted, Policy, lint, read, render

ENGLISH, CHINESE = tuple(COMMANDS), tuple(COMMANDS.values())
PROMPTS = st.lists(
    st.sampled_from(
        [
            *(
                "[",
                "]",
                "[[",
                "]]",
                ",",
                ", ",
                "，",
                " ",
                "\n",
                "x",
                "dolly in",
                "a man in a red hat",
                "slowly",
                "é",
                "镜头",
            ),
            *ENGLISH,
            *CHINESE,
            *(command.upper() for command in ENGLISH),
        ]
    )
    | st.text(max_size=5),
    max_size=30,
).map("".join)


def look(
    prompt: str, policy: Policy = "warn", model: str = "MiniMax-Hailuo-2.3", takes_commands: bool = True
) -> Linted:
    return lint(prompt, model=model, takes_commands=takes_commands, policy=policy)


def nearest(text: str) -> list[str]:
    """What a bracket is asked about, as commands; empty where nothing is said."""
    warnings = look(f"A cat [{text}] runs").warnings
    assert len(warnings) <= 1
    for warning in warnings:
        before, _, question = warning.partition("; did you mean ")
        assert before == f"`[{text}]` is not a camera command"
        return [word.strip("`[]?") for word in question.split(" or ")]
    return []


def test_there_are_fifteen_commands_in_two_languages() -> None:
    assert len(set(ENGLISH)) == len(set(CHINESE)) == 15


@pytest.mark.parametrize("command", [*ENGLISH, *CHINESE])
@pytest.mark.parametrize("policy", ["warn", "reject", "off"])
def test_a_command_in_its_canonical_spelling_passes_without_a_word(command: str, policy: Policy) -> None:
    prompt = f"A cat wakes up [{command}] and looks around"
    assert look(prompt, policy) == Linted(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "[Pan left,Pedestal up]",
        "[Pan left, Pedestal up]",
        "[左摇,上升]",
        "[Push in, Shake, Tracking shot]",
        "slowly [Push in], then quickly [Pull out]",
        "[[Push in]]",
    ],
)
def test_the_documents_own_examples_pass_without_a_word(prompt: str) -> None:
    assert look(prompt, "reject") == Linted(prompt)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("dolly in", "Push in"),
        ("dolly out", "Pull out"),
        ("Dolly In", "Push in"),
        ("DOLLY OUT", "Pull out"),
        ("truck left", "Truck left"),
        ("STATIC SHOT", "Static shot"),
        ("shake", "Shake"),
        (" Push  in ", "Push in"),
        ("Push\u00a0in", "Push in"),
        ("Push in,", "Push in"),
        ("pan left,PEDESTAL UP", "Pan left, Pedestal up"),
        ("左摇，上升", "左摇, 上升"),
        ("左摇、上升", "左摇, 上升"),
        ("dolly in,推进", "Push in, 推进"),
    ],
)
@pytest.mark.parametrize("policy", ["warn", "reject"])
def test_another_spelling_is_put_right_and_said_and_never_refused(given: str, sent: str, policy: Policy) -> None:
    found = look(f"A dog, [{given}] [John]", policy)
    assert found.prompt == f"A dog, [{sent}] [John]"
    assert found.warnings == (f"the camera command `[{given}]` is sent as `[{sent}]`",)
    assert found.problems == ()


@pytest.mark.parametrize("command", ENGLISH)
def test_any_letter_case_is_understood(command: str) -> None:
    for spelling in (command.lower(), command.upper(), command.title(), command.swapcase()):
        assert look(f"[{spelling}]", "reject").prompt == f"[{command}]"


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        # Seen in the wild (FACTS 4.4).
        ("Push out", ["Pull out", "Push in"]),
        ("Rotate Left", ["Pan left"]),
        ("Rise", ["Pedestal up"]),
        ("Follow", ["Tracking shot"]),
        ("Static", ["Static shot"]),
        ("orbit", ["Truck left", "Truck right"]),
        ("boom up", ["Pedestal up"]),
        # Slips of the pen.
        ("push-in", ["Push in"]),
        ("Push_in", ["Push in"]),
        ("PushIn", ["Push in"]),
        ("Pann left", ["Pan left"]),
        ("Zoon in", ["Zoom in"]),
        ("Zomo out", ["Zoom out"]),
        ("Trcking shot", ["Tracking shot"]),
        ("Peddestal dwon", ["Pedestal down"]),
        ("Shak", ["Shake"]),
        ("Zoom inn", ["Zoom in"]),
        ("pull ot", ["Pull out"]),
        # Words of the trade.
        ("zoom", ["Zoom in", "Zoom out"]),
        ("pan up", ["Tilt up"]),
        ("dolly left", ["Truck left"]),
        ("dolly forward", ["Push in"]),
        ("slow zoom in", ["Zoom in"]),
        ("camera pan to the left", ["Pan left"]),
        ("static camera", ["Static shot"]),
        # Chinese ones are answered in Chinese.
        ("推近", ["推进"]),
        ("固定镜头", ["固定"]),
        ("镜头缓慢推进", ["推进"]),
        ("变焦", ["变焦推近", "变焦拉远"]),
    ],
)
def test_a_bracket_meant_for_the_camera_is_asked_about_with_the_nearest_commands(
    text: str, commands: list[str]
) -> None:
    assert nearest(text) == commands


@pytest.mark.parametrize("command", ENGLISH)
def test_one_letter_dropped_or_doubled_is_traced_to_its_command(command: str) -> None:
    for at in range(1, len(command)):
        word = command.split()[command[:at].count(" ")]
        if " " in command[at - 1 : at + 1] or len(word) <= 3:
            continue  # first letters and short words make other words
        for typed in (command[:at] + command[at + 1 :], command[:at] + command[at] + command[at:]):
            assert command in nearest(typed), typed


@pytest.mark.parametrize(
    "text",
    [
        *("a man in a red hat", "John", "1", "00:01", "SFX: rain", "https://example.com/zoom", "...", ",", "", " "),
        *("left", "in", "up and down", "the camera", "shot", "a truck", "the truck", "panda left of the house"),
        *("snake", "shape", "shared", "man left", "pen left", "rush in", "push pin", "static noise fills the room"),
        *("一个男人", "左手", "推荐", "镜头"),
        *("Push in " * 30, "[" * 3),
    ],
)
def test_free_text_in_brackets_is_nobodys_business(text: str) -> None:
    prompt = f"A cat [{text}] runs"
    assert look(prompt, "reject") == Linted(prompt)


def test_beside_a_command_everything_in_the_bracket_must_be_one() -> None:
    found = look("[Push in, a red hat, Pan lefft]")
    assert found.warnings == (
        "`a red hat` in `[Push in, a red hat, Pan lefft]` is not a camera command",
        "`Pan lefft` in `[Push in, a red hat, Pan lefft]` is not a camera command; did you mean `[Pan left]`?",
    )


def test_reject_refuses_an_unknown_command_with_the_nearest_and_the_allowed_ones() -> None:
    found = look("[dolly in] then [Push out]", "reject")
    (problem,) = found.problems
    assert problem.param == "prompt"
    assert problem.message == "`[Push out]` is not a camera command; did you mean `[Pull out]` or `[Push in]`?"
    assert problem.allowed == tuple(f"[{command}]" for command in ENGLISH)
    assert found.warnings == ("the camera command `[dolly in]` is sent as `[Push in]`",)


def test_what_reject_refuses_warn_says_in_the_same_words() -> None:
    prompt = "[Push out] [Push in, Pull out, Shake, Tilt up] [dolly in]"
    refused, warned = look(prompt, "reject"), look(prompt, "warn")
    assert warned.warnings == (*(problem.message for problem in refused.problems), *refused.warnings)
    assert len(refused.problems) == 2
    assert warned.problems == ()


def test_more_than_three_commands_in_one_bracket_are_too_many() -> None:
    assert look("[Push in, Shake, Tilt up]").warnings == ()
    (warning,) = look("[Push in, Shake, Tilt up, Shake]").warnings
    assert warning.startswith("`[Push in, Shake, Tilt up, Shake]` combines 4 camera commands; use at most 3 in one")
    (problem,) = look("[Push in, Shake, Tilt up, Shake]", "reject").problems
    assert problem.message == warning
    assert look("[Push in, Shake] [Tilt up, Zoom in]").warnings == ()


@pytest.mark.parametrize("policy", ["warn", "reject"])
def test_commands_in_vain_are_said_and_not_refused(policy: Policy) -> None:
    found = look("A cat [Push in] [Shake]", policy, model="T2V-01", takes_commands=False)
    rule = "T2V-01 is not documented to take camera commands; those in the prompt may have no effect"
    assert found == Linted("A cat [Push in] [Shake]", (rule,))


def test_a_model_without_commands_is_not_recommended_any() -> None:
    (warning,) = look("[Push out]", model="T2V-01", takes_commands=False).warnings
    assert warning == "`[Push out]` is not a camera command, and T2V-01 is not documented to take any; leave it out"
    free = "A cat [in a red hat]"
    assert look(free, "reject", model="T2V-01", takes_commands=False) == Linted(free)


def test_off_looks_at_nothing() -> None:
    prompt = "[dolly in] [Push out] [Push in, Pull out, Shake, Tilt up]"
    assert look(prompt, "off", model="T2V-01", takes_commands=False) == Linted(prompt)


def test_the_same_finding_is_told_once() -> None:
    assert len(look("[Push out] " * 100).warnings) == 1


def test_the_warnings_of_the_worst_prompt_fit_into_a_header() -> None:
    """They are sent as ASCII, six characters for one of Chinese, and share 4 KiB with the other headers."""
    brackets = [f"[{number}{'推' * 50}, 左移, Zoom in, zoom up, push out]" for number in range(40)]
    for prompt in ("".join(brackets), "".join(bracket.lower() for bracket in brackets)):
        warnings = look(prompt).warnings
        assert len(json.dumps(warnings)) < 3_000
        assert len(warnings) > 1


@pytest.mark.parametrize(("english", "chinese"), COMMANDS.items())
def test_an_upstream_gets_the_literals_it_is_configured_for(english: str, chinese: str) -> None:
    for prompt in (f"A [man], [{english}]", f"A [man], [{chinese}]", f"A [man], [{english.upper()}]"):
        assert render(prompt, "en") == f"A [man], [{english}]"
        assert render(prompt, "zh") == f"A [man], [{chinese}]"
        assert render(prompt, "as-is") == prompt


def test_what_is_no_command_keeps_its_words_in_every_language() -> None:
    assert render("[Push in, slowly] [Push out] [a man, a dog]", "zh") == "[推进, slowly] [Push out] [a man, a dog]"


@given(PROMPTS)
def test_putting_right_touches_nothing_but_brackets_with_commands(prompt: str) -> None:
    right = look(prompt).prompt
    assert outside(right) == outside(prompt)
    assert look(right).prompt == right
    assert [bracket.commands for bracket in read(right)] == [bracket.commands for bracket in read(prompt)]
    if right == prompt:
        assert not any("is sent as" in warning for warning in look(prompt).warnings)


@given(PROMPTS)
def test_there_and_back_again_is_english(prompt: str) -> None:
    assert render(render(prompt, "zh"), "en").replace(",", "") == render(prompt, "en").replace(",", "")
    assert render(render(prompt, "en"), "en") == render(prompt, "en")


@given(st.text())
def test_no_text_at_all_is_too_strange(prompt: str) -> None:
    for policy in ("warn", "reject", "off"):
        assert isinstance(look(prompt, policy), Linted)
        assert isinstance(look(f"[{prompt}]", policy), Linted)


@pytest.mark.parametrize("text", ["[", "[[]", "[a", "[Push out]", "[pann lefft, zoon in]", "[a man in a red hat]", "]"])
def test_the_work_grows_with_the_prompt_and_not_faster(text: str) -> None:
    def steps(count: int) -> int:
        return steps_of(lambda: look(text * count, "reject"))

    assert steps(1_000) <= 2.2 * steps(500) + 50
    assert steps(20_000) <= 1.1 * steps(10_000) + 50  # only as many brackets are read as a legal prompt has room for


def outside(prompt: str) -> str:
    """The text around the innermost brackets."""
    kept, depth_open = [], ""
    for character in prompt:
        if character == "[":
            kept.append(depth_open)
            depth_open = "["
        elif character == "]" and depth_open:
            kept.append("[]")
            depth_open = ""
        elif depth_open:
            depth_open += character
        else:
            kept.append(character)
    return "".join([*kept, depth_open])


def steps_of(action: Callable[[], object]) -> int:
    """How many Python functions an action calls: work, whatever the machine."""
    steps = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal steps
        steps += event == "call"

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return steps
