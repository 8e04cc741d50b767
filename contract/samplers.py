"""The samplers by name. Each is a diffusers scheduler class, made from the checkpoint's own
scheduler configuration with these overrides and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Sampler:
    name: str
    scheduler: str  # class name in diffusers
    overrides: Mapping[str, Any] = field(default_factory=dict)
    order: int = 1  # evaluations of the model in a step, but for the last
    extra: int = 0  # evaluations of a picture of more than one step

    def evaluations(self, steps: int) -> int:
        """Of the model, by a picture of so many steps."""
        return self.order * (steps - 1) + 1 + (self.extra if steps > 1 else 0)


SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        sampler.name: sampler
        for sampler in (
            Sampler("lms", "LMSDiscreteScheduler"),
            Sampler("euler", "EulerDiscreteScheduler"),
            Sampler("euler_a", "EulerAncestralDiscreteScheduler"),
            Sampler("heun", "HeunDiscreteScheduler", order=2),
            Sampler("kdpm2", "KDPM2DiscreteScheduler", order=2),
            Sampler("ddim", "DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
            Sampler("ddpm", "DDPMScheduler", {"clip_sample": False}),
            Sampler("pndm", "PNDMScheduler", {"skip_prk_steps": True}, extra=1),
            Sampler("dpmpp_2m", "DPMSolverMultistepScheduler"),
            Sampler("dpmpp_2m_karras", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
            Sampler(
                "dpmpp_2m_sde",
                "DPMSolverMultistepScheduler",
                {"algorithm_type": "sde-dpmsolver++"},
            ),
            Sampler("dpmpp_sde_single", "DPMSolverSinglestepScheduler"),
            Sampler("deis", "DEISMultistepScheduler"),
            Sampler("unipc", "UniPCMultistepScheduler"),
            Sampler("lcm", "LCMScheduler"),
        )
    }
)

DEFAULT_SAMPLER = "dpmpp_2m_karras"
