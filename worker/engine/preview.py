"""What a half-developed picture will look like, for next to nothing.

The clean picture that the model has in mind, x0, is linear in what the U-Net saw and what it said
(Ho et al., 2020, equation 15; Salimans and Ho, 2022, section 4 for v), and what colour a cell of x0
will have is nearly linear in its channels. The second map is fitted to the loaded VAE.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from worker.engine.decode import decode
from worker.engine.device import upload
from worker.engine.model import Model
from worker.engine.sampler import make_scheduler

PICTURES, CELLS, FIELDS = 6, 12, 5
"""How many pictures the map is fitted on, their sides in cells of latent space, and in fields of
colour, whose edges fall between cells and into them."""

LEAST_SIGNAL = 1e-4
"""Of alpha squared: pure noise shows nothing, and would be divided by zero."""


def preview_steps(previews: int, evaluations: int) -> tuple[int, ...]:
    """After which model evaluations a picture is shown: evenly spread, and never after the last,
    which brings the picture itself. Fewer where there are not so many."""
    spread = (round(k * evaluations / (previews + 1)) for k in range(1, previews + 1))
    return tuple(sorted({step for step in spread if 1 <= step < evaluations}))


class Clean:
    """x0 = a x + b e, where x is what the U-Net saw and e what it said, guided."""

    def __init__(self, scheduler_config: Mapping[str, Any]):
        self._prediction = scheduler_config.get("prediction_type", "epsilon")
        alphas = make_scheduler("ddim", scheduler_config).alphas_cumprod
        self._signal: NDArray[np.float64] = alphas.double().numpy()  # alpha squared, by timestep

    def coefficients(self, timestep: float) -> tuple[float, float]:
        """a and b. The input is always of unit variance there, whatever a sampler makes of it
        before and after, as that is what the U-Net was trained on."""
        signal = float(np.interp(timestep, np.arange(len(self._signal)), self._signal))
        signal = max(signal, LEAST_SIGNAL)
        alpha, sigma = signal**0.5, (1.0 - signal) ** 0.5
        if self._prediction == "sample":
            return 0.0, 1.0
        if self._prediction == "v_prediction":
            return alpha, -sigma
        return 1.0 / alpha, -sigma / alpha


class Previewer:
    """Previews of pictures of one model."""

    def __init__(self, clean: Clean, colours: Tensor):
        """
        Args:
            colours: [channels + 1, 3], latents and a one to RGB from 0 to 255.
        """
        self._clean = clean
        self._colours = colours

    @classmethod
    def fit(cls, model: Model) -> Self:
        """Fits the map to the model's VAE, which takes two of its calls on small pictures."""
        return cls(Clean(model.scheduler_config), _fit_colours(model).to(model.device))

    @torch.inference_mode()
    def show(self, inputs: Tensor, outputs: Tensor, timesteps: Sequence[float]) -> Tensor:
        """
        Args:
            inputs: what the U-Net saw, [pictures, channels, h, w] float32.
            outputs: what it said, guided, likewise.
            timesteps: at which, one for each picture.

        Returns:
            [pictures, h, w, 3] uint8 RGB, on the device, where nothing waits for it.
        """
        pairs = torch.tensor([self._clean.coefficients(t) for t in timesteps], dtype=torch.float32)
        a, b = upload(pairs, inputs.device).T.reshape(2, -1, 1, 1, 1)
        latents = a * inputs + b * outputs
        colours = torch.einsum("pchw,cr->phwr", latents, self._colours[:-1]) + self._colours[-1]
        return colours.nan_to_num(0.0).clamp(0, 255).round().to(torch.uint8)


@torch.inference_mode()
def _fit_colours(model: Model) -> Tensor:
    """Least squares over the cells of some pictures: what the VAE encodes them as, against the
    colours that it decodes from that. [channels + 1, 3] float32 on the CPU."""
    factor = model.vae_scale_factor
    pictures = _colourful(CELLS * factor).to(model.device, model.dtype)
    encoded = model.vae.encode(pictures).latent_dist.mode()
    latents = encoded.float() * model.vae.config.scaling_factor
    decoded = [pixels for pixels in decode(model, latents) if pixels is not None]
    if len(decoded) < PICTURES:
        raise ValueError("the VAE makes NaN of plain colours")
    pixels = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).float()
    cells = functional.avg_pool2d(pixels, factor).permute(0, 2, 3, 1).reshape(-1, 3)
    channels = latents.cpu().permute(0, 2, 3, 1).flatten(0, 2)
    known = torch.cat([channels, torch.ones(len(channels), 1)], dim=1)
    fitted: Tensor = torch.linalg.lstsq(known.double(), cells.double(), driver="gelsd").solution
    return fitted.float()


def _colourful(side: int) -> Tensor:
    """Pictures of all colours, which run into each other in the one half and meet in edges in the
    other; [PICTURES, 3, side, side] from -1 to 1."""
    source = torch.Generator().manual_seed(0)
    fields = torch.rand(2, PICTURES // 2, 3, FIELDS, FIELDS, generator=source) * 3 - 1.5
    smooth = functional.interpolate(fields[0], (side, side), mode="bilinear")
    edged = functional.interpolate(fields[1], (side, side), mode="nearest")
    return torch.cat([smooth, edged]).clamp(-1, 1)
