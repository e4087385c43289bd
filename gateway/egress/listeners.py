"""Where this gateway itself listens: it never has a reason to call itself, whatever networks were opened."""

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from gateway.egress.networks import unwrapped
from gateway.egress.urls import IPAddress

Listener = tuple[str, int]
"""Address and port of a listening socket."""


def is_ours(address: IPAddress, port: int, listeners: Iterable[Listener]) -> bool:
    """Whether a connection to this address and port would end at one of our own sockets."""
    plain = unwrapped(address)
    return any(port == own_port and _meets(plain, unwrapped(ip_address(host))) for host, own_port in listeners)


def _meets(address: IPAddress, own: IPAddress) -> bool:
    """A socket that listens everywhere is met at every address of the machine; 0.0.0.0 leads to one of them."""
    if own.is_unspecified or address.is_unspecified:
        return _is_of_this_machine(address)
    return address == own


def _is_of_this_machine(address: IPAddress) -> bool:
    """Asked of the kernel, which lets nobody bind to an address that the machine does not have; nothing is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
