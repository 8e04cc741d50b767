"""The worker's settings."""

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from contract.errors import BadSetting
from contract.settings import CommonSettings, lower


def _usable_cores() -> int:
    """The cores that this process may use, which a container may have fewer of than the machine."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,100}", text) is None:
        raise PydanticCustomError("name", "must be 1 to 100 letters, digits, dots, - and _")
    return text


def _folder(value: object) -> object:
    if value == "":
        raise PydanticCustomError("folder", "must name a folder")
    return value


class WorkerSettings(CommonSettings):
    checkpoint: Annotated[
        Path, Field(description="A Stable Diffusion folder in diffusers' format.")
    ] = Path("models/starter")
    worker_name: Annotated[
        str,
        AfterValidator(_name),
        Field(
            default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
            description="The worker's name in /readyz and `rq info`. Default: host and process id.",
        ),
    ]
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Field(description="`auto` takes a GPU where there is one.")
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "float16", "bfloat16"],
        Field(description="`auto` is float16 on a GPU, else float32."),
    ] = "auto"
    threads: Annotated[
        int,
        Field(
            ge=1,
            default_factory=_usable_cores,
            description="CPU threads of torch. Default: the cores that the process may use; with "
            "several workers on one machine give each its share.",
        ),
    ]
    compile: Annotated[
        bool,
        Field(
            description="Whether the model is compiled at the start, which takes minutes once and "
            "makes pictures of the native size faster; their last bits may change."
        ),
    ] = False
    compile_buckets: Annotated[
        bool,
        Field(
            description="Whether what is compiled is compiled for 1, 2, 4, 8, ... rows each, and "
            "calls of the native size are split or filled up to these, instead of once for any "
            "number; the first start takes several times as long."
        ),
    ] = False
    compile_cache: Annotated[
        Path | None,
        BeforeValidator(_folder),
        Field(
            description="Folder in which what was compiled is kept for the next start; nobody else "
            "may write there. Default: `darkroom/compiled` in the user's cache folder."
        ),
    ] = None
    channels_last: Annotated[
        Literal["auto", "true", "false"],
        BeforeValidator(lower),
        Field(
            description="Whether the weights of convolutions lie in memory pixel by pixel; `auto`: "
            "on a CPU those of the decoder, on a GPU what is compiled. Last bits of pictures may "
            "change."
        ),
    ] = "auto"
    fixed_rows: Annotated[
        int | None,
        Field(
            ge=1,
            description="Rows of every U-Net call, filled up where there are fewer, so that a "
            "picture is the same to the last bit in any company; slower. Default: as many as there "
            "are, and the last bits may change.",
        ),
    ] = None
    cuda_graphs: Annotated[
        bool,
        Field(description="Whether a GPU replays U-Net calls as CUDA graphs; changes no picture."),
    ] = True
    max_rows: Annotated[
        int | None,
        Field(
            ge=2,
            description="Rows of one U-Net call at the native size; a guided picture is two. "
            "Default: found by measuring at the start.",
        ),
    ] = None
    max_side: Annotated[
        int | None,
        Field(
            ge=8,
            description="Longest side of a picture, in pixels; less where memory has no room for "
            "it. Default: twice the native.",
        ),
    ] = None
    memory_mb: Annotated[
        int | None,
        Field(
            ge=1,
            description="Megabytes of the device's memory that the worker may take, its model "
            "included. Default: what is free at the start, less 8%.",
        ),
    ] = None
    prompt_cache: Annotated[
        int, Field(ge=0, description="Prompts whose embeddings are remembered.")
    ] = 512
    encode_threads: Annotated[
        int, Field(ge=1, le=64, description="Threads that write PNGs and talk to Redis.")
    ] = 2
    step_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds after which a step counts as hung: the worker then dies, and its "
            "jobs go on elsewhere.",
        ),
    ] = 300.0
    checkpoint_s: Annotated[
        float,
        Field(
            ge=0,
            description="Least seconds between checkpoints of the running pictures; 0 for none: a "
            "job then fails once three workers in a row have died of it. They come less often "
            "where they would cost more than a hundredth of the time.",
        ),
    ] = 0.5
    checkpoint_mb: Annotated[
        int, Field(ge=0, description="Most megabytes of checkpoints that a worker keeps in Redis.")
    ] = 256
    metrics_host: Annotated[
        str, Field(description="Address that the worker's /metrics listens on.")
    ] = "127.0.0.1"
    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="Port of the worker's /metrics; 0 takes a free one.")
    ] = 9464
    log_prompts: Annotated[
        bool,
        Field(description="Whether the log and the traces of jobs have their prompts in them."),
    ] = False

    def require_kept_promise(self, device_type: str) -> None:
        """
        Args:
            device_type: torch's, of the device that is used.

        Raises:
            BadSetting: of fixed rows, where something else that is set breaks or wastes them.
        """
        fixed, most = self.fixed_rows, self.max_rows
        if fixed is not None and most is not None and fixed > most:
            raise BadSetting(
                f"DARKROOM_FIXED_ROWS is {fixed}, more than the {most} of DARKROOM_MAX_ROWS, and "
                f"rows that nobody uses would be computed; set it to {most} or less."
            )
        if fixed is not None and self.compile and device_type == "cpu":
            raise BadSetting(
                "DARKROOM_FIXED_ROWS and DARKROOM_COMPILE are both set, but what is compiled for a "
                "CPU promises no equal bits; leave one of them out."
            )
