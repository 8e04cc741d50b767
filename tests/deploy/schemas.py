"""What a cluster accepts: Kubernetes' own schemas, and the fields of two operators' resources."""

from typing import Any

import kubernetes_validate
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as prometheus

from tests.deploy.manifests import Manifest

OLDEST = "1.30"
"""Of the versions of Kubernetes that docs/kubernetes.md promises."""

_MODELS: dict[tuple[str, str], Any] = {
    ("keda.sh/v1alpha1", "ScaledObject"): keda.ScaledObject,
    ("keda.sh/v1alpha1", "TriggerAuthentication"): keda.TriggerAuthentication,
    ("monitoring.coreos.com/v1", "PodMonitor"): prometheus.PodMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): prometheus.PrometheusRule,
}


def require_accepted(manifest: Manifest, *, oldest: str = OLDEST) -> None:
    """Fails where a field is unknown, missing or of a wrong type."""
    model = _MODELS.get((manifest["apiVersion"], manifest["kind"]))
    if model is None:
        for version in (oldest, kubernetes_validate.latest_version()):
            kubernetes_validate.validate(manifest, version, strict=True)
        return
    # The models leave out what they do not know.
    known = model.model_validate(manifest).model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )
    assert known == manifest
