"""What a key may still ask for, as headers (draft-ietf-httpapi-ratelimit-headers-11)."""

from contract.quotas import WINDOW_S, Quotas


def quota_headers(quotas: Quotas) -> dict[str, str]:
    """Empty for a caller without limits."""
    policies, states = [], []
    if (requests := quotas.per_minute) is not None:
        policies.append(f'"requests";q={requests.limit};w={WINDOW_S}')
        states.append(f'"requests";r={requests.remaining};t={requests.reset_s}')
    if (queued := quotas.queued) is not None:
        policies.append(f'"queued";q={queued.limit};qu="concurrent-requests"')
        states.append(f'"queued";r={queued.remaining}')
    if not policies:
        return {}
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}
