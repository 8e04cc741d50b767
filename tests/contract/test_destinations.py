"""No webhook reaches what only this service can reach, in whatever form it is written."""

from ipaddress import ip_address, ip_network

import pytest

from contract.destinations import Destinations, is_odd_address, literal_address

PUBLIC = ("93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101")
NOT_PUBLIC = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # metadata of clouds
    "100.64.0.1",  # carriers' NAT
    "100.100.100.200",  # metadata of another cloud
    "192.0.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::1",
    "2001:0:a00:1::1",
    "2001:db8::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed(text: str) -> None:
    assert Destinations().allows_address(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_all_others_are_not(text: str) -> None:
    assert not Destinations().allows_address(ip_address(text))


@pytest.mark.parametrize("text", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"])
def test_an_allowed_network_opens_itself_and_nothing_else(text: str) -> None:
    destinations = Destinations(networks=(ip_network("10.1.0.0/16"),))
    assert destinations.allows_address(ip_address(text))
    assert destinations.allows_address(ip_address("1.1.1.1"))
    for other in ("10.2.0.1", "127.0.0.1", "::1", "169.254.169.254"):
        assert not destinations.allows_address(ip_address(other))


@pytest.mark.parametrize(
    "text",
    ["2130706433", "0x7f000001", "0x7F.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1"],
)
def test_an_address_in_disguise_is_seen(text: str) -> None:
    assert is_odd_address(text)
    assert literal_address(text) is None


def test_names_are_no_addresses_and_addresses_no_disguise() -> None:
    for name in ("example.com", "localhost", "1.2.3.4.example.com", "", "1.2.3.4.5"):
        assert literal_address(name) is None
        assert not is_odd_address(name)
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert literal_address(address) == ip_address(address)
        assert not is_odd_address(address)


def test_a_list_of_hosts_is_all_there_is() -> None:
    destinations = Destinations(hosts=("hooks.example.com", "*.example.org", "::1"))
    for host in ("hooks.example.com", "HOOKS.example.com", "a.example.org", "a.b.example.org"):
        assert destinations.allows_host(host)
    for host in ("example.com", "a.hooks.example.com", "example.org", "badexample.org", "1.1.1.1"):
        assert not destinations.allows_host(host)
    assert Destinations().allows_host("any.example.net")
