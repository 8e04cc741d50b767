"""What clients of the web UI read."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Txt2ImgView(_View):
    images: list[str]  # base64
    parameters: dict[str, Any]
    info: str  # JSON of an InfoView


class InfoView(_View):
    """How the pictures were made. `warnings` is ours, all else the web UI's."""

    prompt: str
    all_prompts: list[str]
    negative_prompt: str
    all_negative_prompts: list[str]
    seed: int
    all_seeds: list[int]
    subseed: int
    all_subseeds: list[int]
    subseed_strength: float = 0.0
    width: int  # of the pictures, in pixels
    height: int
    sampler_name: str
    cfg_scale: float
    steps: int
    batch_size: int
    restore_faces: bool = False
    face_restoration_model: None = None
    sd_model_name: str
    sd_model_hash: str | None
    sd_vae_name: None = None
    sd_vae_hash: None = None
    seed_resize_from_w: int = 0
    seed_resize_from_h: int = 0
    denoising_strength: float | None = None
    extra_generation_params: dict[str, str]
    index_of_first_image: int = 0
    infotexts: list[str]
    styles: list[str] = []
    job_timestamp: str
    clip_skip: int = 1
    is_using_inpainting_conditioning: bool = False
    version: str = "darkroom"
    warnings: list[str]


class StateView(_View):
    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = 0
    job_timestamp: str = "0"
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0


class ProgressView(_View):
    progress: float = 0.0
    eta_relative: float = 0.0  # seconds; 0 also where nobody knows
    state: StateView = StateView()
    current_image: str | None = None  # a WebP in base64
    textinfo: str | None = None


class TaskView(_View):
    active: bool
    queued: bool
    completed: bool
    progress: float | None = None
    eta: float | None = None  # seconds
    live_preview: str | None = None  # a data URL
    id_live_preview: int
    textinfo: str | None = None


class PendingTasksView(_View):
    size: int
    tasks: list[str]


class SamplerView(_View):
    name: str
    aliases: list[str]
    options: dict[str, str]


class SchedulerView(_View):
    name: str
    label: str
    aliases: list[str] | None = None
    default_rho: float
    need_inner_model: bool = False


class CheckpointView(_View):
    title: str
    model_name: str
    hash: str | None
    sha256: str | None
    filename: str
    config: str | None = None


class MemoryView(_View):
    ram: dict[str, int | str]  # bytes
    cuda: dict[str, int | str]
