"""Where the documents contradict each other (FACTS 7.7), seen from the upstream's side."""

import json
from typing import Any

import pytest

from gateway import errors
from gateway.catalog import Catalog, judge
from gateway.errors import UpstreamError
from gateway.providers import PROVIDERS
from gateway.video import Mode, VideoRequest
from tests.providers.fakes import FIRST, LAST, SITE, answer, ask, offer, submit

CATALOG = Catalog.shipped()


def written(provider: str, request: VideoRequest, *, said: bool = True, **sold: Any) -> dict[str, Any]:
    """The body a provider is sent for a request."""
    unsaid = frozenset() if said else frozenset({"resolution", "duration"})
    body = PROVIDERS[provider].submission(request, offer(request.model, **sold, unsaid=unsaid), SITE).body
    assert body is not None
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.parametrize(
    ("status", "code", "type_", "kind"),
    [
        (400, 400, "invalid_request_error", errors.BadCall),
        (400, "invalid_request", "invalid_request_error", errors.BadCall),
        (401, 401, "authentication_error", errors.KeyRejected),
        (401, "unauthorized", "authentication_error", errors.KeyRejected),
        (402, 402, "insufficient_quota_error", errors.KeyExhausted),
        (402, "insufficient_quota", "insufficient_quota", errors.KeyExhausted),
        (403, 403, "permission_error", errors.KeyBarred),
        (403, "model_access_denied", "invalid_request_error", errors.KeyBarred),
        (429, 429, "rate_limit_error", errors.KeyBusy),
        (429, "rate_limit_exceeded", "rate_limit_error", errors.KeyBusy),
        (500, 500, "internal_server_error", errors.InDoubt),
        (500, "internal_error", "api_error", errors.InDoubt),
    ],
)
def test_1_an_error_code_means_the_same_as_an_integer_and_as_a_word(
    status: int, code: object, type_: str, kind: type[UpstreamError]
) -> None:
    body = {"error": {"code": code, "message": "you have no access to this model", "type": type_}}
    for provider in ("evolink", "toapis"):
        assert type(submit(provider, answer(body, status))[0]) is kind


def test_2_a_prompt_beside_an_image_is_left_out_where_it_may_be_and_unsayable_where_it_may_not() -> None:
    request = ask(prompt=None, first_frame_image=FIRST)
    gaps = {name: [gap.param for gap in provider.unsayable(request)] for name, provider in PROVIDERS.items()}
    assert gaps == {"evolink": [], "minimax": [], "toapis": ["prompt"], "newapi": ["prompt"]}
    assert "prompt" not in written("evolink", request)
    assert "prompt" not in written("minimax", request)


def test_3_the_fast_model_has_no_offer_without_an_image_so_nothing_is_ever_written_for_it() -> None:
    model = CATALOG.find("MiniMax-Hailuo-2.3-Fast")
    assert model is not None
    assert {sold.mode for sold in model.offers} == {Mode.IMAGE}
    assert judge(ask(model.name), model, prompt_required=False)[0] is None


def test_4_resolutions_are_lower_case_for_evolink_and_upper_case_for_all_others() -> None:
    assert written("evolink", ask(), resolution="1080P")["quality"] == "1080p"
    assert written("toapis", ask(), resolution="1080P")["resolution"] == "1080P"
    assert written("newapi", ask(), resolution="1080P")["metadata"]["resolution"] == "1080P"
    assert written("minimax", ask(), resolution="1080P")["resolution"] == "1080P"


def test_5_two_frames_stand_where_each_provider_looks_for_them() -> None:
    request = ask("MiniMax-Hailuo-02", first_frame_image=FIRST, last_frame_image=LAST)
    assert written("evolink", request)["image_urls"] == [FIRST, LAST]
    toapis = written("toapis", request)
    assert (toapis["image_urls"], toapis["metadata"]) == ([FIRST], {"last_frame_image": LAST})
    for body in (written("newapi", request)["metadata"], written("minimax", request)):
        assert (body["first_frame_image"], body["last_frame_image"]) == (FIRST, LAST)


def test_6_512p_is_only_ever_written_beside_an_image() -> None:
    model = CATALOG.find("MiniMax-Hailuo-02")
    assert model is not None
    assert {sold.mode for sold in model.offers if sold.resolution == "512P"} == {Mode.IMAGE}


def test_7_durations_are_integers_of_six_and_ten_seconds_for_everyone() -> None:
    assert {sold.duration_s for model in CATALOG.models for sold in model.offers} == {6, 10, None}
    for provider in PROVIDERS:
        assert written(provider, ask(), duration_s=10)["duration"] == 10


def test_8_the_01_series_is_ordered_without_the_fields_some_upstreams_reject() -> None:
    request = ask("T2V-01")
    assert written("newapi", request, said=False, resolution="720P") == {"model": "T2V-01", "prompt": "a ship"}
    assert written("minimax", request, said=False, resolution="720P") == {"model": "T2V-01", "prompt": "a ship"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_9_a_prompt_reaches_the_upstream_character_by_character(provider: str) -> None:
    for prompt in ("[Push out] a ship [dolly in]", "一艘船 [推进]", 'quotes " and \\ and \u2028', " padded "):
        assert written(provider, ask(prompt=prompt))["prompt"] == prompt


def test_toapis_has_stood_in_three_generations_and_the_newest_is_written() -> None:
    body = written("toapis", ask(first_frame_image=FIRST, aigc_watermark=True))
    assert (body["resolution"], body["image_urls"], body["metadata"]) == ("768P", [FIRST], {"aigc_watermark": True})


def test_new_apis_images_stand_only_where_the_classic_adaptor_reads_them() -> None:
    body = written("newapi", ask(first_frame_image=FIRST))
    assert set(body) == {"model", "prompt", "duration", "metadata"}


def test_1002_is_a_rate_limit_although_the_vendors_own_client_takes_it_for_content() -> None:
    assert type(submit("minimax", answer({"base_resp": {"status_code": 1002}}))[0]) is errors.KeyBusy
    assert type(submit("minimax", answer({"base_resp": {"status_code": 1039}}))[0]) is errors.KeyBusy
