"""The strict reader: what it takes, what it makes of it, and that other readers agree where it says yes."""

from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.egress.refusals import Reason, Refusal
from gateway.egress.urls import Url, follow, judge_url
from tests.egress.forms import FORMS

MAX = 8192


def read(text: str) -> Url:
    return judge_url(text, characters_max=MAX)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://cdn.example", Url("https", "cdn.example", 443, "/", None)),
        ("http://cdn.example/a/b.png?x=1&y", Url("http", "cdn.example", 80, "/a/b.png?x=1&y", None)),
        ("https://cdn.example?x", Url("https", "cdn.example", 443, "/?x", None)),
        ("https://cdn.example/a#b?c@d", Url("https", "cdn.example", 443, "/a", None)),
        ("HTTPS://CDN.Example/A", Url("https", "cdn.example", 443, "/A", None)),
        ("https://cdn.example:443/", Url("https", "cdn.example", 443, "/", None)),
        ("https://cdn.example:8443/", Url("https", "cdn.example", 8443, "/", None)),
        ("https://my_bucket.s3.example/a", Url("https", "my_bucket.s3.example", 443, "/a", None)),
        ("https://xn--bcher-kva.example/", Url("https", "xn--bcher-kva.example", 443, "/", None)),
        ("https://1.2.3.4.cdn.example/", Url("https", "1.2.3.4.cdn.example", 443, "/", None)),
        ("https://cdn.example/%2e%2e/%00/a@b:c//d", Url("https", "cdn.example", 443, "/%2e%2e/%00/a@b:c//d", None)),
        ("https://8.8.8.8/", Url("https", "8.8.8.8", 443, "/", ip_address("8.8.8.8"))),
        (
            "https://[2606:4700:0::1111]:8443/",
            Url("https", "2606:4700::1111", 8443, "/", ip_address("2606:4700::1111")),
        ),
    ],
)
def test_an_address_is_taken_apart_once(text: str, url: Url) -> None:
    assert read(text) == url


@pytest.mark.parametrize(
    ("text", "authority", "place"),
    [
        ("https://cdn.example:443/a?b", "cdn.example", "https://cdn.example"),
        ("http://cdn.example:8080/a", "cdn.example:8080", "http://cdn.example:8080"),
        ("http://[2606:4700::1]/a", "[2606:4700::1]", "http://[2606:4700::1]"),
        ("http://[2606:4700::1]:81/a", "[2606:4700::1]:81", "http://[2606:4700::1]:81"),
    ],
)
def test_the_host_header_and_the_log_name_the_place_and_nothing_more(text: str, authority: str, place: str) -> None:
    assert (read(text).authority, read(text).place) == (authority, place)


@pytest.mark.parametrize(
    "text",
    [
        *(f"https://cdn.example:{port}/" for port in ("", "0", "080", "0443", "65536", "99999", "+80", "8e1", "0x50")),
        *("https://cdn.example/a\\b", "https://cdn.example/?a\\b", "https://cdn.example/#a\\b", "https:\\cdn.example/"),
        *("https://cdn.example/ ", "https://cdn.example/\t", "https://cdn.example/\xe9", "https://cdn.example/#\u2028"),
        *("https://user@cdn.example/", "https://:@cdn.example/", "https://cdn.example./", "https://cdn..example/"),
        *("https:cdn.example/", "https:/cdn.example/", "https:///cdn.example/", "cdn.example", "//cdn.example/", ""),
    ],
)
def test_what_could_be_read_in_two_ways_is_not_read(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(text)
    assert caught.value.reason is Reason.FORM


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher", "ws", "wss", "httpx", "h", "http+unix"])
def test_only_the_web_is_spoken(scheme: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(f"{scheme}://cdn.example/")
    assert caught.value.reason is Reason.SCHEME


def test_the_longest_address_is_as_long_as_allowed() -> None:
    text = "https://cdn.example/"
    assert judge_url(text, characters_max=len(text)).target == "/"
    with pytest.raises(Refusal):
        judge_url(text, characters_max=len(text) - 1)


@pytest.mark.parametrize("name", ["localhost", "redis", "a.localhost", "printer.local", "db.internal", "nas.home.arpa"])
def test_a_name_of_the_inside_is_known_by_its_look(name: str) -> None:
    assert read(f"https://{name}/").has_inside_name


@pytest.mark.parametrize("name", ["cdn.example", "local.example", "internal.example.com", "8.8.8.8", "[2606:4700::1]"])
def test_other_names_are_for_the_name_server_to_say(name: str) -> None:
    assert not read(f"https://{name}/").has_inside_name


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("https://other.example/b", "https://other.example/b"),
        ("//other.example/b", "http://other.example/b"),
        ("/b", "http://cdn.example:8080/b"),
        ("b", "http://cdn.example:8080/x/b"),
        ("../b", "http://cdn.example:8080/x/../b"),
        ("?b", "http://cdn.example:8080/x/y?b"),
        ("", "http://cdn.example:8080/x/"),
    ],
)
def test_a_redirect_is_made_whole(location: str, leads_to: str) -> None:
    assert follow(read("http://cdn.example:8080/x/y?z"), location) == leads_to


@settings(max_examples=1000)
@given(st.text(max_size=60))
def test_a_redirect_leads_to_the_same_host_as_for_other_readers_or_nowhere(location: str) -> None:
    base = read("http://cdn.example/x/y?z")
    try:
        url = read(follow(base, location))
    except Refusal:
        return
    assert urlsplit(urljoin("http://cdn.example/x/y?z", location)).hostname == url.host


# Where readers disagree there is a trick, so what ours takes must mean the same to all of them.
PIECES = st.sampled_from(
    [
        *("http", "https", "ftp", ":", "/", "//", "\\", "@", "#", "?", "[", "]", "::1", "%", "%25lo", "%2e", ".", " "),
        *("127.0.0.1", "cdn.example", "2130706433", "0x7f.1", "user:pw@", "localhost", ":80", ":443", ":8080", ":"),
        *("\t", "\n", "\x00", "\u3002", "\uff0f", "\u2044", "a", "-", "_", "xn--", "xn--bcher-kva", "1", "0"),
    ]
)
ADDRESSES = st.one_of(
    st.lists(PIECES, max_size=10).map("".join),
    st.lists(PIECES, max_size=8).map(lambda pieces: "http://" + "".join(pieces)),
    st.text(max_size=40).map(lambda text: "https://" + text),
    st.sampled_from(FORMS),
)


@settings(max_examples=3000)
@given(ADDRESSES)
def test_whatever_is_taken_means_the_same_to_other_readers(text: str) -> None:
    try:
        url = read(text)
    except Refusal:
        return
    standard, other = urlsplit(text), httpx.URL(text)
    assert url.scheme == standard.scheme == other.scheme
    assert (standard.port or url.port) == url.port == (other.port or url.port)
    host = standard.hostname or ""
    if url.address is None:
        assert url.host == host == other.raw_host.decode()
    else:
        assert url.address == ip_address(host) == ip_address(other.host)
    assert (standard.username, other.userinfo) == (None, b"")
    assert url.target.startswith("/")
    assert "#" not in url.target
    assert read(url.place + url.target) == url
