"""Which IP addresses are public: the list of the rule, its edges, and no way around by wrapping."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.egress.networks import is_public, is_within, unwrapped

# Word for word what the rule names beside everything that is not globally routable.
NAMED = (
    *("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10", "3fff::/20", "5f00::/16"),
    *("192.88.99.0/24", "192.0.0.0/24", "0.0.0.0/8", "100.64.0.0/10", "224.0.0.0/4", "ff00::/8"),
)
PRIVATE = (
    *("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"),
    *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32"),
    *("::1/128", "::/128", "fc00::/7", "fe80::/10", "2001:db8::/32", "2001:2::/48", "2001:10::/28", "100::/64"),
    *("0::/3", "4000::/2", "8000::/1"),
)
PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "93.184.215.14", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0"),
    *("172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0"),
    *("192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "203.0.112.255"),
    *("203.0.114.0", "223.255.255.255", "1.0.0.0"),
    *("2001:200::1", "2001:4860:4860::8888", "2001:db7:ffff::1", "2001:db9::1", "2003::1", "2606:4700::1111"),
    *("2a00:1450::1", "2000::1", "3ffe::1", "2001:ffff::1"),
)


@pytest.mark.parametrize("text", [*NAMED, *PRIVATE])
def test_a_network_is_denied_from_its_first_address_to_its_last(text: str) -> None:
    network = ip_network(text)
    for address in (network[0], network[-1], network[network.num_addresses // 2]):
        assert not is_public(address), address


@pytest.mark.parametrize("text", PUBLIC)
def test_what_lies_beside_the_denied_networks_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_when_it_is_mapped(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    assert unwrapped(mapped) == address
    assert is_public(mapped) == is_public(address)


@given(st.ip_addresses(v=4), st.integers(0, 2**80 - 1))
def test_no_other_way_to_wrap_an_ipv4_address_makes_it_public(address: IPv4Address, rest: int) -> None:
    number = int(address)
    for wrapped in (
        number,  # IPv4-compatible
        0xFFFF << 48 | number,  # IPv4-translated
        0x64FF9B << 96 | number,
        0x64FF9B0001 << 80 | (rest & 0xFFFF_FFFF_FFFF) << 32 | number,
        0x2002 << 112 | number << 80 | rest,
        0x20010000 << 96 | number << 64 | rest & 0xFFFF_FFFF_FFFF_FFFF,
        0x20010000 << 96 | (rest & 0xFFFF_FFFF_FFFF_FFFF) << 32 | number ^ 0xFFFF_FFFF,
    ):
        assert not is_public(IPv6Address(wrapped)), IPv6Address(wrapped)


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_as_special(address: IPv4Address | IPv6Address) -> None:
    if is_public(address):
        plain = unwrapped(address)
        assert not any((plain.is_private, plain.is_loopback, plain.is_link_local, plain.is_multicast))
        assert not any((plain.is_reserved, plain.is_unspecified))


def test_what_a_newer_python_knows_as_special_is_not_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IPv4Address, "is_global", False)
    assert not is_public(ip_address("8.8.8.8"))
    assert not is_public(ip_address("::ffff:8.8.8.8"))


def test_an_opened_network_opens_what_it_names_however_it_is_written() -> None:
    opened = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")]
    for text in ("10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "fd00:1::5"):
        assert is_within(ip_address(text), opened)
    for text in ("10.0.255.255", "10.2.0.0", "::10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::", "fd00:2::1", "::1"):
        assert not is_within(ip_address(text), opened)
