"""What values say of themselves, and when two are the same."""

from rich.pretty import pretty_repr

from gateway.structs import replace
from gateway.video import VideoRequest
from gateway.virtual_keys import Issued, VirtualKey

SAID = VideoRequest(model="MiniMax-Hailuo-2.3", prompt="a lighthouse", dialect="openai", params={"prompt": "prompt"})


def test_two_requests_are_the_same_when_they_want_the_same_in_whatever_words() -> None:
    in_other_words = replace(SAID, dialect="evolink", params={}, reached_at="http://gateway.example")
    assert in_other_words == SAID
    assert (in_other_words != SAID) is False
    assert hash(SAID) == hash(in_other_words)
    other = replace(SAID, prompt="two lighthouses")
    assert other != SAID
    assert (other == SAID) is False


def test_a_key_that_was_given_out_shows_its_name_and_no_digest() -> None:
    issued = Issued(key=VirtualKey(id="alice"), digest="d1935a")
    for shown in (repr(issued), str(issued), pretty_repr([issued])):
        assert "alice" in shown
        assert "d1935a" not in shown
