"""What pictures would be computed on."""

import importlib
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from contract.errors import BadSetting
from darkroom.doctor.finding import Finding, fail, ok, warn
from worker.settings import WorkerSettings

ASK_LIMIT_S = 10.0
COMPILERS = ("g++", "clang++", "c++")
LIBRARIES = ("torch", "diffusers", "transformers", "safetensors", "accelerate")

WITHOUT_CUDA = (
    "Install torch's build for the GPU: `make install TORCH_BACKEND=auto`, or another image."
)
WITHOUT_GPU = (
    "Look at `nvidia-smi`; a container needs `--gpus all` or a reservation, and NVIDIA's container "
    "toolkit. Or set DARKROOM_DEVICE to cpu."
)


def can_compute() -> bool:
    """Whether what a worker needs is installed here."""
    return not _missing()


def _missing() -> list[str]:
    return [name for name in LIBRARIES if importlib.util.find_spec(name) is None]


def check_device(settings: WorkerSettings, is_needed: bool) -> Iterator[Finding]:
    """
    Args:
        is_needed: whether it is a fault where torch is not installed.
    """
    if missing := _missing():
        said = f"{', '.join(missing)}: not installed here, so no worker can run here."
        remedy = "Install darkroom with its extra `worker`."
        yield fail(said, remedy) if is_needed else ok(said)
        return
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # of a broken installation, whatever it is
        yield fail(f"torch cannot be loaded: {_first_line(error)}", "Install it again.")
        return
    is_cpu = settings.device == "cpu" or not torch.cuda.is_available()
    if is_cpu:
        yield from _no_gpu(settings, torch)
    else:
        yield from _gpus(torch)
    yield from _calls(settings, "cpu" if is_cpu else "cuda")
    yield from _memory(settings, torch.device("cpu" if is_cpu else "cuda"))


def _calls(settings: WorkerSettings, device_type: str) -> Iterator[Finding]:
    try:
        settings.require_kept_promise(device_type)
    except BadSetting as error:
        said, _, remedy = str(error).partition("; ")
        yield fail(f"{said}.", f"{remedy[0].upper()}{remedy[1:]}")
    if settings.compile and not any(map(shutil.which, COMPILERS)):
        yield fail(
            "DARKROOM_COMPILE is true, and there is no C++ compiler here.",
            "Install one, such as g++, or set it to false.",
        )


def _memory(settings: WorkerSettings, device: Any) -> Iterator[Finding]:
    from worker.engine.device_memory import MEGABYTE, free_bytes  # with torch, which is here by now

    free = free_bytes(device)
    if settings.memory_mb is not None and settings.memory_mb * MEGABYTE > free:
        yield warn(
            f"DARKROOM_MEMORY_MB is {settings.memory_mb}, and {free / MEGABYTE:.0f} MB are free on "
            f"{device}.",
            "Set it to less, or leave it out: a worker then takes what is free at its start.",
        )


def _no_gpu(settings: WorkerSettings, torch: Any) -> Iterator[Finding]:
    driver = _driver()
    why = "torch finds no GPU"
    if torch.version.cuda is None:
        why = f"torch {torch.__version__} is a build without CUDA"
    remedy = WITHOUT_CUDA if torch.version.cuda is None else WITHOUT_GPU
    if settings.device == "cuda":
        yield fail(f"DARKROOM_DEVICE is cuda, but {why}.", remedy)
        return
    if driver is not None and settings.device == "auto":
        yield warn(f"There is a GPU, with driver {driver}, but {why}.", remedy)
    yield ok(f"torch {torch.__version__} computes on the CPU, in {settings.threads} threads.")
    if settings.dtype == "float16":
        yield fail(
            "DARKROOM_DTYPE is float16, which a CPU does not do.",
            "Set DARKROOM_DTYPE to float32, or to auto.",
        )


def _gpus(torch: Any) -> Iterator[Finding]:
    driver = _driver() or "unknown"
    for n in range(torch.cuda.device_count()):
        try:
            free, total = torch.cuda.mem_get_info(n)
            torch.zeros(1, device=f"cuda:{n}").add(1).item()
        except Exception as error:  # CUDA's, of many kinds
            yield fail(f"GPU {n} does not compute: {_first_line(error)}", WITHOUT_GPU)
            continue
        yield ok(
            f"GPU {n} is {torch.cuda.get_device_name(n)}, with {free / 1e9:.1f} of "
            f"{total / 1e9:.1f} GB free, driver {driver}, torch {torch.__version__} with CUDA "
            f"{torch.version.cuda}."
        )
        if free < total / 2:
            yield warn(
                f"Others use more than half of the memory of GPU {n}.",
                "See who does with `nvidia-smi`; a worker wants a GPU of its own.",
            )


def _driver() -> str | None:
    """The version of NVIDIA's driver; None where there is none."""
    asked = shutil.which("nvidia-smi")
    if asked is None:
        return None
    command = [asked, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=ASK_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().partition("\n")[0] or None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
