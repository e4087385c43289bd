"""Which IP addresses belong to the public internet. Pure.

The list is our own, because `ipaddress.is_global` alone lets pass what leads inward: IPv4 addresses wrapped in IPv6
(6to4, Teredo, NAT64, IPv4-compatible), site-local IPv6, and on older Pythons more. Its word counts only as one more
way to say no. Sources: IANA's registries of special-purpose addresses, and what clouds keep inside public-looking
ranges.
"""

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

from gateway.egress.urls import IPAddress

Network = IPv4Network | IPv6Network

_DENIED: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host, RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # behind a carrier's NAT, RFC 6598; Alibaba's metadata is at 100.100.100.200
        "127.0.0.0/8",  # loopback, RFC 1122
        "168.63.129.16/32",  # Azure's host as its machines see it; the range around it is public
        "169.254.0.0/16",  # link-local, RFC 3927; metadata of most clouds
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # protocol assignments, RFC 6890; Oracle's metadata is at 192.0.0.192
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "198.18.0.0/15",  # benchmarks, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved, RFC 1112, and broadcast
        "::/96",  # unspecified, loopback and IPv4-compatible, RFC 4291
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # NAT64 of one's own, RFC 8215
        "100::/64",  # discarded, RFC 6666
        "2001::/23",  # protocol assignments, RFC 2928, with Teredo (2001::/32), benchmarks and ORCHID
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056
        "3fff::/20",  # documentation, RFC 9637
        "5f00::/16",  # segment routing, RFC 9602
        "fc00::/7",  # unique local, RFC 4193; metadata of AWS and Google
        "fe80::/10",  # link-local, RFC 4291
        "fec0::/10",  # site-local, RFC 3879
        "ff00::/8",  # multicast, RFC 4291
    )
)
_GLOBAL_UNICAST = ip_network("2000::/3")  # all of IPv6 that IANA has given out; the rest is reserved


def is_public(address: IPAddress) -> bool:
    """Whether anybody on the internet could reach this address too."""
    plain = unwrapped(address)
    if isinstance(plain, IPv6Address) and plain not in _GLOBAL_UNICAST:
        return False
    return plain.is_global and not is_within(plain, _DENIED)


def is_within(address: IPAddress, networks: Collection[Network]) -> bool:
    plain = unwrapped(address)
    return any(plain in network for network in networks)


def unwrapped(address: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv4-mapped one: that is where a connection to it goes."""
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
