"""Where the documents contradict each other (FACTS 7.7), one test says what this house does."""

from typing import Any

import pytest

from gateway.catalog import Catalog, judge
from gateway.dialects import evolink
from gateway.dialects.speaking import Action
from gateway.errors import BudgetSpent, Internal, ModelNotAllowed
from gateway.video import Mode, Offer, VideoRequest
from tests.dialects.factory import SPOKEN, parse, understood

CATALOG = Catalog.shipped()
FIRST, LAST = "https://example.com/first.jpg", "https://example.com/last.jpg"


def judged(dialect: str, body: dict[str, Any]) -> tuple[VideoRequest, Offer | None, list[str]]:
    """The request, what the catalog offers for it, and the canonical fields it finds wrong."""
    request = parse(dialect, body)
    assert request.problems == ()
    model = CATALOG.find(request.model)
    assert model is not None
    offer, problems = judge(request, model, prompt_required=SPOKEN[dialect].prompt_required(model.name))
    return request, offer, [problem.param for problem in problems]


@pytest.mark.parametrize(
    ("error", "create", "tasks"),
    [
        (BudgetSpent("no"), ("insufficient_quota", "insufficient_quota"), (402, "insufficient_quota_error")),
        (Internal("no"), ("internal_error", "api_error"), (500, "internal_server_error")),
        (ModelNotAllowed("no"), ("model_access_denied", "invalid_request_error"), (403, "permission_error")),
    ],
)
def test_1_evolinks_error_codes_are_words_on_creates_and_integers_on_tasks(
    error: Any, create: tuple[str, str], tasks: tuple[int, str]
) -> None:
    for action, expected in ((Action.CREATE, create), (Action.READ, tasks)):
        body = evolink.render_error(error, action)[1]["error"]
        assert (body["code"], body["type"]) == expected


def test_2_a_prompt_beside_an_image_is_optional_in_evolink_and_minimax_and_required_elsewhere() -> None:
    evolink_body = {"model": "MiniMax-Hailuo-2.3", "image_urls": [FIRST]}
    newapi_body = {"model": "MiniMax-Hailuo-02", "metadata": {"first_frame_image": FIRST}}
    assert judged("evolink", evolink_body)[2] == []
    assert judged("toapis", evolink_body)[2] == ["prompt"]
    assert judged("toapis", {"model": "MiniMax-Hailuo-02", "image_urls": [FIRST]})[2] == []
    assert judged("newapi", newapi_body)[2] == ["prompt"]
    assert judged("openai", {"model": "MiniMax-Hailuo-02", "input_reference": FIRST})[2] == ["prompt"]
    assert judged("openai", {"model": "MiniMax-Hailuo-02", "prompt": " \n", "input_reference": FIRST})[2] == ["prompt"]
    assert judged("minimax", {"model": "MiniMax-Hailuo-02", "first_frame_image": FIRST})[2] == []


def test_3_the_example_of_seed_002_is_refused_for_the_image_it_leaves_out() -> None:
    body = {"model": "MiniMax-Hailuo-2.3-Fast", "prompt": "A cat slowly opens its eyes and looks around [Pan left]"}
    request, offer, fields = judged("evolink", body)
    assert offer is None
    assert [request.param(name) for name in fields] == ["image_urls"]


def test_4_resolutions_are_lower_case_in_evolink_and_upper_case_elsewhere_and_both_are_read_everywhere() -> None:
    for word in ("768p", "768P"):
        bodies: dict[str, dict[str, Any]] = {
            "evolink": {"quality": word},
            "toapis": {"resolution": word},
            "newapi": {"metadata": {"resolution": word}},
            "openai": {"resolution": word},
            "minimax": {"resolution": word},
        }
        for dialect, body in bodies.items():
            assert understood(dialect, {"model": "M", **body}) == {"model": "M", "resolution": "768P"}
    for dialect, module in SPOKEN.items():
        assert module.spell("resolution", "768P") == ("768p" if dialect == "evolink" else "768P")
        assert module.spell("model", "MiniMax-Hailuo-02") == "MiniMax-Hailuo-02"


def test_5_the_last_frame_is_a_second_image_in_evolink_and_a_field_of_its_own_elsewhere() -> None:
    common = {"model": "MiniMax-Hailuo-02", "prompt": "p"}
    bodies: dict[str, dict[str, Any]] = {
        "evolink": {"image_urls": [FIRST, LAST]},
        "toapis": {"image_urls": [FIRST], "metadata": {"last_frame_image": LAST}},
        "newapi": {"metadata": {"first_frame_image": FIRST, "last_frame_image": LAST}},
        "openai": {"input_reference": FIRST, "metadata": {"last_frame_image": LAST}},
        "minimax": {"first_frame_image": FIRST, "last_frame_image": LAST},
    }
    requests = [judged(dialect, {**common, **body})[0] for dialect, body in bodies.items()]
    assert requests[0].mode is Mode.FIRST_LAST
    assert requests == [requests[0]] * len(SPOKEN)


def test_6_512p_is_for_images_only_whatever_toapis_table_ticks() -> None:
    body: dict[str, Any] = {"model": "MiniMax-Hailuo-02", "prompt": "p", "resolution": "512P"}
    assert judged("toapis", body)[2] == ["resolution"]
    assert judged("toapis", {**body, "image_urls": [FIRST]})[2] == []
    assert judged("openai", body)[2] == judged("minimax", body)[2] == ["resolution"]
    assert judged("openai", {**body, "input_reference": FIRST})[2] == []
    assert judged("minimax", {**body, "first_frame_image": FIRST})[2] == []
    assert judged("newapi", {"model": "MiniMax-Hailuo-02", "prompt": "p", "metadata": {"resolution": "512P"}})[2] == [
        "resolution"
    ]


@pytest.mark.parametrize("dialect", SPOKEN)
def test_7_five_seconds_are_read_and_refused_and_ten_are_made(dialect: str) -> None:
    body = {"model": "MiniMax-Hailuo-02", "prompt": "p"}
    assert judged(dialect, {**body, "duration": 5})[2] == ["duration_s"]
    assert judged(dialect, {**body, "duration": 10})[2] == []


def test_8_the_720p_of_the_01_models_can_be_said_although_no_page_lists_it() -> None:
    body = {"model": "T2V-01", "prompt": "p", "metadata": {"resolution": "720P"}}
    offer = judged("newapi", body)[1]
    assert offer is not None
    assert offer.resolution == "720P"


@pytest.mark.parametrize("dialect", SPOKEN)
@pytest.mark.parametrize("tag", ["[Push in]", "[dolly in]", "[PUSH IN]", "[Push out]", "[推进]"])
def test_9_camera_commands_of_any_source_pass_a_dialect_untouched(dialect: str, tag: str) -> None:
    assert understood(dialect, {"model": "M", "prompt": f"a door {tag}"})["prompt"] == f"a door {tag}"


def test_10_the_size_of_an_image_is_not_a_dialects_business() -> None:
    image = "data:image/png;base64," + "A" * 28_000_000  # 20 MiB and a little more, once decoded
    assert understood("evolink", {"model": "M", "image_urls": [image]})["first_frame_image"] == image
