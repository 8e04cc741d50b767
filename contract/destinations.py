"""Where webhooks may go. Their URLs come from callers, who must not reach by them what only this
service can reach: its own machine, its network, its cloud's metadata (SSRF).

Names are held against the operator's list as soon as they are seen; addresses after the name was
resolved, and it is the address that was looked at which is then connected to.
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_UNICAST_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address behind it
_NOT_PUBLIC: tuple[Network, ...] = (  # whatever Python's own tables say, which differ by version
    IPv4Network("100.64.0.0/10"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("240.0.0.0/4"),
    IPv6Network("2001::/23"),  # Teredo among them, which leads to an IPv4 address
    IPv6Network("2002::/16"),  # 6to4, likewise
    IPv6Network("3fff::/20"),
)


@dataclass(frozen=True, slots=True)
class Destinations:
    """What the operator allows."""

    hosts: tuple[str, ...] = ()  # those alone, `*.` for all below a name; any where there is none
    networks: tuple[Network, ...] = ()  # addresses that are allowed although they are not public

    def allows_host(self, host: str) -> bool:
        """By its name as it stands in a URL; its addresses are another matter."""
        host = host.lower()
        return not self.hosts or any(_matches(host, allowed) for allowed in self.hosts)

    def allows_address(self, address: Address) -> bool:
        """Whether it is public, or in an allowed network."""
        end = _end_of(address)
        return _is_public(end) or any(end in network for network in self.networks)


def literal_address(host: str) -> Address | None:
    """The address that a URL's host is, if it is one and no name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_odd_address(host: str) -> bool:
    """Whether a resolver takes the host for an address that is not written as one: 2130706433,
    0x7f.1 and 0177.0.0.1 are all 127.0.0.1."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return literal_address(host) is None


def is_local_name(host: str) -> bool:
    """Whether a name is the machine's own by its very meaning (RFC 6761)."""
    return host.lower() == "localhost" or host.lower().endswith(".localhost")


def _matches(host: str, allowed: str) -> bool:
    if allowed.startswith("*."):
        return host.endswith(allowed[1:])
    return host == allowed


def _end_of(address: Address) -> Address:
    """Where packets to this address end up."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_public(address: Address) -> bool:
    if any(address in network for network in _NOT_PUBLIC):
        return False
    is_unicast = isinstance(address, IPv4Address) or address in _UNICAST_V6
    return is_unicast and address.is_global and not address.is_multicast
