"""The samplers as AUTOMATIC1111's web UI names them: a sampler and a schedule type, both ways."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from contract.samplers import SAMPLERS

AUTOMATIC, UNIFORM, KARRAS = "Automatic", "Uniform", "Karras"


@dataclass(frozen=True, slots=True)
class WebUiName:
    """`schedule` is `Automatic` where the web UI's own choice for the sampler is what ours does,
    and `Uniform`, which is the model's own schedule, where that choice would be another one."""

    sampler: str
    schedule: str = AUTOMATIC
    aliases: tuple[str, ...] = ()


WEB_UI_NAMES: Mapping[str, WebUiName] = MappingProxyType(
    {
        "lms": WebUiName("LMS", aliases=("k_lms",)),
        "euler": WebUiName("Euler", aliases=("k_euler",)),
        "euler_a": WebUiName("Euler a", aliases=("k_euler_a", "k_euler_ancestral")),
        "heun": WebUiName("Heun", aliases=("k_heun",)),
        "kdpm2": WebUiName("DPM2", UNIFORM, ("k_dpm_2",)),
        "ddim": WebUiName("DDIM"),
        "ddpm": WebUiName("DDPM"),
        "pndm": WebUiName("PLMS"),
        "dpmpp_2m": WebUiName("DPM++ 2M", UNIFORM, ("k_dpmpp_2m",)),
        "dpmpp_2m_karras": WebUiName("DPM++ 2M", KARRAS, ("k_dpmpp_2m_ka",)),
        "dpmpp_2m_sde": WebUiName("DPM++ 2M SDE", UNIFORM, ("k_dpmpp_2m_sde",)),
        "dpmpp_sde_single": WebUiName("DPM++ SDE", UNIFORM, ("k_dpmpp_sde",)),
        "deis": WebUiName("DEIS"),
        "unipc": WebUiName("UniPC"),
        "lcm": WebUiName("LCM", aliases=("k_lcm",)),
    }
)
"""By our names. DDPM and DEIS are names of its forks."""

SCHEDULES: Mapping[str, str] = MappingProxyType(
    {
        "automatic": AUTOMATIC,
        "uniform": UNIFORM,
        "normal": UNIFORM,
        "simple": UNIFORM,
        "karras": KARRAS,
        "exponential": "Exponential",
        "polyexponential": "Polyexponential",
        "sgm_uniform": "SGM Uniform",
        "kl_optimal": "KL Optimal",
        "align_your_steps": "Align Your Steps",
        "ddim": "DDIM",
        "beta": "Beta",
    }
)
"""The web UI's schedules by name, each with its label. Those of even steps are one to us."""


def sampler_named(name: str, schedule: str | None = None) -> str | None:
    """Our sampler for a name of the web UI's, in any case: `DPM++ 2M` with the schedule `Karras`,
    the older joined form `DPM++ 2M Karras`, an alias, or our own name.

    `Automatic` (or None) is the Karras form where there is one, as it is in the web UI, else the
    sampler's only form. None where we have no such pair: to take another schedule would be to
    draw another picture.
    """
    wanted = name.strip().casefold()
    asked = _schedule(schedule or AUTOMATIC)
    if wanted in SAMPLERS:
        return wanted if asked in (AUTOMATIC, _own_schedule(wanted)) else None
    forms = _forms(wanted)
    if not forms and asked == AUTOMATIC:
        wanted, asked = _split(wanted)
        forms = _forms(wanted)
    if not forms or asked is None:
        return None
    if asked == AUTOMATIC:
        return forms.get(KARRAS) or next(iter(forms.values()))
    return forms.get(asked)


def _forms(wanted: str) -> dict[str, str]:
    """Our samplers of that name, by their schedule."""
    return {
        _own_schedule(ours): ours
        for ours, theirs in WEB_UI_NAMES.items()
        if wanted == theirs.sampler.casefold() or wanted in theirs.aliases
    }


def _own_schedule(ours: str) -> str:
    schedule = WEB_UI_NAMES[ours].schedule
    return UNIFORM if schedule == AUTOMATIC else schedule


def _schedule(text: str) -> str | None:
    """By name or label."""
    wanted = text.strip().casefold()
    labels = {label.casefold(): label for label in SCHEDULES.values()}
    return SCHEDULES.get(wanted) or labels.get(wanted)


def _split(joined: str) -> tuple[str, str | None]:
    """`dpm++ 2m karras` to its two parts."""
    endings = {*SCHEDULES, *(label.casefold() for label in SCHEDULES.values())}
    for ending in sorted(endings, key=len, reverse=True):
        if joined.endswith(f" {ending}"):
            return joined.removesuffix(f" {ending}").strip(), _schedule(ending)
    return joined, AUTOMATIC
