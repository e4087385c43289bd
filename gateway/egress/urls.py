"""Reading an address that somebody else wrote. Pure.

Parsers that disagree are how a guard is led past: one reads `http://a\\@b/` as going to a, another as going to b. So
this reader knows one narrow form, refuses everything else, and what it returns is what is connected to: the text is
not read again. Refused are: characters other than printable ASCII, backslashes, user names and passwords, an empty or
padded port, percent-encoding or a zone in the host, a dot at its end, and every way to write an IPv4 address but four
plain decimal numbers. A fragment never leaves the machine and is dropped.
"""

import re
from ipaddress import IPv4Address, IPv6Address

from gateway.egress.refusals import Reason, Refusal
from gateway.structs import Struct

IPAddress = IPv4Address | IPv6Address

# The ports at which the public web answers. 8080, 8443 and their like are where consoles, proxies and test servers
# stand; who has an image or a callback there can open that network in the configuration, and with it every port.
USUAL_PORTS = {"http": 80, "https": 443}

_CHARACTERS = re.compile(r"[!-\[\]-~]+")  # printable ASCII without the blank and the backslash
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?")
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PORT_MAX = 65_535
_NAME_CHARACTERS_MAX = 253  # RFC 1035, without the dot at the end

# RFC 6761, 6762, 8375, 9476 and ICANN's .internal, with the habits of routers and company networks.
_INSIDE = frozenset(
    {"localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan", "arpa", "alt"}
    | {"test", "onion"}
)


class Url(Struct, frozen=True):
    """An address that can only be read in one way."""

    scheme: str
    host: str
    """In lower case; an IPv6 address without its brackets."""
    port: int
    target: str
    """Path and query, byte for byte."""
    address: IPAddress | None
    """Of a host that is no name."""

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.has_usual_port else f"{host}:{self.port}"

    @property
    def place(self) -> str:
        """All of it that a log may hold: a path or a query can be a credential."""
        return f"{self.scheme}://{self.authority}"

    @property
    def has_usual_port(self) -> bool:
        return self.port == USUAL_PORTS[self.scheme]

    @property
    def has_inside_name(self) -> bool:
        """Whether only a private network would know the host's name; no name server need be asked about it."""
        return self.address is None and ("." not in self.host or self.host.rpartition(".")[2] in _INSIDE)


def judge_url(text: str, *, characters_max: int) -> Url:
    """Read an address. Raises Refusal."""
    if len(text) > characters_max or not _CHARACTERS.fullmatch(text):
        raise Refusal(Reason.FORM, "too long, or characters that no address has")
    parts = _URL.fullmatch(text)
    if parts is None:
        raise Refusal(Reason.FORM, "not an absolute address")
    scheme, authority, target = parts.groups()
    scheme = scheme.lower()
    if scheme not in USUAL_PORTS:
        raise Refusal(Reason.SCHEME)
    place = _AUTHORITY.fullmatch(authority)
    if place is None:
        raise Refusal(Reason.FORM, "credentials, or not a host and a port")
    v6, name, digits = place.groups()
    port = int(digits) if digits else USUAL_PORTS[scheme]
    if port > _PORT_MAX:
        raise Refusal(Reason.FORM, "no such port")
    address = _read_v6(v6) if v6 else _read_name(name.lower())
    host = name.lower() if address is None else str(address)
    return Url(scheme, host, port, target if target.startswith("/") else "/" + target, address)


def follow(url: Url, location: str) -> str:
    """The address a redirect names, still to be judged like any other: a wrong answer here opens nothing."""
    if _ABSOLUTE.match(location):
        return location
    if location.startswith("//"):
        return f"{url.scheme}:{location}"
    if location.startswith("/"):
        return url.place + location
    path = url.target.partition("?")[0]
    return url.place + (path if location.startswith("?") else path.rpartition("/")[0] + "/") + location


def _read_v6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError:
        raise Refusal(Reason.FORM, "not an IPv6 address") from None


def _read_name(name: str) -> IPv4Address | None:
    """The IPv4 address a host is, if it is one. Whatever ends in a number is, for some parser."""
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return IPv4Address(name)
        except ValueError:
            raise Refusal(Reason.FORM, "a numeric host that is not four decimal numbers") from None
    if len(name) > _NAME_CHARACTERS_MAX or not all(_LABEL.fullmatch(label) and _is_encoded(label) for label in labels):
        raise Refusal(Reason.FORM, "not a name")
    return None


def _is_encoded(label: str) -> bool:
    """Whether a label is plain, or properly encoded from other characters (RFC 3492)."""
    if not label.startswith("xn--"):
        return True
    try:
        return not label[4:].encode("ascii").decode("punycode").isascii()
    except UnicodeError:
        return False
