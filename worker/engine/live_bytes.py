"""How many bytes of tensors are alive at the peak of a calculation, on any device of torch's."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
ATTENTION = aten.scaled_dot_product_attention.default
ALIKE = {
    aten.group_norm.default,
    aten.layer_norm.default,
    aten.silu.default,
    aten.gelu.default,
}
"""Whose answer is as their first argument is. On `meta` torch finds that out in Python, slowly."""


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the storages that operators make, until they are freed.

    What an operator uses inside itself, such as the workspace of a convolution, is not seen.
    Without a device, on `meta`, attention is taken for what it is on one: a fused kernel, which
    makes its answer and no matrix of scores.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak: int = 0
        self._live = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = _without_a_device(func, args)
        if made is None:
            made = func(*args, **(kwargs or {}))
        if not func.is_view:
            for leaf in tree_leaves(made):
                if isinstance(leaf, Tensor):
                    self._follow(leaf.untyped_storage())
        self.peak = max(self.peak, self._live)
        return made

    def _follow(self, storage: torch.UntypedStorage) -> None:
        name, size = id(storage), storage.nbytes()
        if name not in self._known:
            self._live += size
            self._known[name] = weakref.ref(storage, lambda _: self._forget(name, size))

    def _forget(self, name: int, size: int) -> None:
        self._live -= size
        del self._known[name]


def _without_a_device(func: Any, args: tuple[Any, ...]) -> Tensor | None:
    """What comes of it on `meta`; None where torch says it, or there is a device."""
    if func is ATTENTION and args[0].is_meta:
        query, _, value = args[:3]
        made: Tensor = query.new_empty(*query.shape[:-1], value.shape[-1])
        return made
    if func in ALIKE and args[0].is_meta:
        return torch.empty_like(args[0])
    return None


@torch.inference_mode()
def live_peak(call: Callable[[], object]) -> int:
    """Bytes that the tensors take which the call makes, at its peak."""
    with LiveBytes() as live:
        call()
    peak: int = live.peak
    return peak
