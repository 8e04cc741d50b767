"""Compiling a model before the first picture waits for it, and keeping what was compiled."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from contract.errors import BadSetting
from worker.engine.call_options import CallOptions
from worker.engine.decode import decode
from worker.engine.model import Model, prepare
from worker.engine.row_plan import RowPlan, buckets
from worker.engine.solver import rehearse
from worker.engine.unet_timing import unet_seconds

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch looks for what it compiled before: its graphs, C++ libraries and GPU kernels."""

MOST_BROKEN = 32
"""How many broken files in the cache are thrown away at one start: as many as one that was killed
was compiling at a time, and more."""


def compile_model(model: Model, options: CallOptions, most_rows: int, *, in_buckets: bool) -> Model:
    """The model with compiled calls of its native size, which have been called with 1, 2, 4, 8, ...
    and `most_rows` rows, or with the fixed number.

    Args:
        in_buckets: whether calls have these row counts only, each compiled by itself.

    Raises:
        BadSetting: torch finds no compiler here, or none that can do it.
    """
    from torch._dynamo.exc import BackendCompilerFailed  # slow to load, and here it is anyway

    began = time.perf_counter()
    counts = buckets(most_rows) if options.fixed_rows is None else (options.fixed_rows,)
    plan = RowPlan(counts) if in_buckets and options.fixed_rows is None else None
    compiled = prepare(model, replace(options, compiles=True, plan=plan))
    try:
        seconds = _despite_broken_files(lambda: warm_up(compiled, counts))
    except BackendCompilerFailed as error:
        reason = str(error).splitlines()[0]
        raise BadSetting(
            f"DARKROOM_COMPILE is true, but torch cannot compile here ({reason}); install a C++ "
            "compiler, or set it to false."
        ) from error
    if plan is not None:
        plan.learn(seconds)
    timed = ", ".join(f"{rows}: {1000 * taken:.0f} ms" for rows, taken in seconds.items())
    logger.info("compiled in %.0f s; U-Net calls of %s", time.perf_counter() - began, timed)
    return compiled


def _despite_broken_files(warm_up: Callable[[], dict[int, float]]) -> dict[int, float]:
    """A compiler that was killed leaves half a library in the cache, at which torch would fail from
    then on: it is thrown away, and compiled again."""
    from torch._dynamo.exc import BackendCompilerFailed

    for _ in range(MOST_BROKEN):
        try:
            return warm_up()
        except BackendCompilerFailed as error:
            broken = broken_library(error.inner_exception)
            if broken is None:
                raise
            logger.warning("compiling %s again, which an earlier start left broken", broken)
            broken.unlink(missing_ok=True)
    return warm_up()


def broken_library(error: Exception) -> Path | None:
    """The file in torch's cache that could not be loaded, if that is the error."""
    cache = os.environ.get(CACHE_VARIABLE)
    if not isinstance(error, ImportError) or error.path is None or cache is None:
        return None
    path = Path(error.path).resolve()
    return path if path.is_relative_to(Path(cache).resolve()) else None


def warm_up(model: Model, counts: tuple[int, ...]) -> dict[int, float]:
    """Seconds of a U-Net call by row count. The largest is first, as `recorder.py` wants it."""
    seconds = {}
    parts = len(counts) + 1
    for number, rows in enumerate(sorted(counts, reverse=True), 1):
        logger.info("compiling %d of %d: the U-Net at %d rows", number, parts, rows)
        seconds[rows] = unet_seconds(model, rows, model.native_shape)
    logger.info("compiling %d of %d: the decoder and the samplers' update", parts, parts)
    rehearse(model.advance_call, model.latent_channels, model.native_shape, model.device)
    decode(model, torch.zeros(1, model.latent_channels, *model.native_shape, device=model.device))
    return seconds


def keep_compiled(folder: Path | None) -> None:
    """Has torch keep what it compiles, for the next start: in this folder, else where torch was
    told to by its own variable, else in the user's cache folder.

    Raises:
        BadSetting: nothing can be written to the folder that was asked for.
    """
    chosen = folder or (None if _is_told() else _default_folder())
    if chosen is None:
        return
    try:
        chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_usable = os.access(chosen, os.W_OK | os.X_OK)
        reason = "it is not writable"
    except OSError as error:
        is_usable, reason = False, error.strerror or str(error)
    if is_usable:
        os.environ[CACHE_VARIABLE] = str(chosen.resolve())
    elif folder is not None:
        raise BadSetting(f"DARKROOM_COMPILE_CACHE is {folder}, but {reason}.")
    else:
        logger.warning("what torch compiles is kept in its own place: %s: %s", chosen, reason)


def _is_told() -> bool:
    """Whether somebody chose a folder by torch's variable, which torch itself sets to a temporary
    one as soon as it is loaded."""
    told = os.environ.get(CACHE_VARIABLE)
    return told is not None and told != os.path.abspath(default_cache_dir())


def _default_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "darkroom" / "compiled"
