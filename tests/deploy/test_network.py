"""NetworkPolicies let through what is needed, and nothing else."""

import pytest

from tests.deploy.flows import End, is_let_through
from tests.deploy.manifests import WORKLOADS, Manifest, labels_of, of_kind, ports_of

Everything = tuple[Manifest, ...]

DNS = End("dns", "kube-system", {"k8s-app": "kube-dns"})
PROMETHEUS = End("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"})
KEDA = End("keda", "keda", {"app": "keda-operator"})
INGRESS = End("ingress", "ingress", {})
NEIGHBOUR = End("neighbour", "darkroom", {"app": "other"})
INTERNET = End("internet", address="93.184.216.34")
INSIDE = [
    End(f"at {address}", address=address)
    for address in (
        "10.96.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
    )
]
OTHERS = [DNS, PROMETHEUS, KEDA, INGRESS, NEIGHBOUR, INTERNET, *INSIDE]
PORTS = (53, 80, 443, 6379, 8000, 8443, 9090, 9464)

NEEDED = {
    ("api", "redis", 6379),
    ("worker", "redis", 6379),
    ("webhooks", "redis", 6379),
    ("keda", "redis", 6379),
    ("prometheus", "worker", 9464),
} | {("webhooks", "internet", port) for port in PORTS}


def _ends(everything: Everything) -> list[End]:
    ours = [
        End(each["metadata"]["name"], labels=labels_of(each), ports=ports_of(each))
        for each in of_kind(everything, *WORKLOADS)
    ]
    return [*ours, *OTHERS]


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_the_flows_are_those_that_are_needed(everything: Everything, protocol: str) -> None:
    policies = list(of_kind(everything, "NetworkPolicy"))
    ends = _ends(everything)
    ours = [end for end in ends if end not in OTHERS]
    found = {
        (source.name, target.name, port)
        for source in ends
        for target in ends
        for port in PORTS
        if source is not target
        and (source in ours or target in ours)
        and is_let_through(policies, source, target, port, protocol)
    }
    wanted = {(end.name, "dns", 53) for end in ours}
    if protocol == "TCP":
        wanted |= NEEDED | {(end.name, "api", 8000) for end in OTHERS}
    assert found == wanted


def test_without_the_courier_nothing_leaves_the_cluster(cpu: Everything) -> None:
    policies = list(of_kind(cpu, "NetworkPolicy"))
    for end in _ends(cpu):
        if end not in OTHERS:
            assert not is_let_through(policies, end, INTERNET, 443)
