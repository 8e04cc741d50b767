"""Who reaches whom under the NetworkPolicies, judged as Kubernetes does."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from tests.deploy.manifests import Manifest, selects


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod, or an address outside the cluster."""

    name: str
    namespace: str = "darkroom"
    labels: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    address: str = ""  # of what is no pod


def is_let_through(
    policies: list[Manifest], source: End, target: End, port: int, protocol: str = "TCP"
) -> bool:
    """Whether both ends' policies let a connection through."""
    return _allows(policies, "Egress", source, target, target, port, protocol) and _allows(
        policies, "Ingress", target, source, target, port, protocol
    )


def _allows(
    policies: list[Manifest],
    direction: str,
    own: End,
    other: End,
    target: End,
    port: int,
    protocol: str,
) -> bool:
    mine = [
        each["spec"]
        for each in policies
        if not own.address
        and each["metadata"]["namespace"] == own.namespace
        and direction in each["spec"]["policyTypes"]
        and selects(each["spec"]["podSelector"], own.labels)
    ]
    rules = [rule for spec in mine for rule in spec.get(direction.lower(), ())]
    peers = "to" if direction == "Egress" else "from"
    return not mine or any(
        _is_port(rule, target, port, protocol) and _is_peer(rule.get(peers), own, other)
        for rule in rules
    )


def _is_port(rule: Manifest, target: End, port: int, protocol: str) -> bool:
    if "ports" not in rule:
        return True
    for each in rule["ports"]:
        first = target.ports.get(each["port"]) if isinstance(each["port"], str) else each["port"]
        if first is None or each["protocol"] != protocol:
            continue
        if first <= port <= each.get("endPort", first):
            return True
    return False


def _is_peer(peers: list[Manifest] | None, own: End, other: End) -> bool:
    return peers is None or any(_is_one(peer, own, other) for peer in peers)


def _is_one(peer: Manifest, own: End, other: End) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        if not other.address:
            return False
        address = ip_address(other.address)
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(apart) for apart in block.get("except", ())
        )
    if other.address:
        return False
    names = {"kubernetes.io/metadata.name": other.namespace}
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], names):
            return False
    elif other.namespace != own.namespace:
        return False
    return selects(peer.get("podSelector", {}), other.labels)
