import pytest

from contract.sampler_names import WEB_UI_NAMES, sampler_named
from contract.samplers import SAMPLERS


def test_every_sampler_has_a_name_and_is_found_by_it() -> None:
    assert list(WEB_UI_NAMES) == list(SAMPLERS)
    for ours, theirs in WEB_UI_NAMES.items():
        assert sampler_named(theirs.sampler, theirs.schedule) == ours
        assert sampler_named(ours) == ours
        for alias in theirs.aliases:
            assert sampler_named(alias, theirs.schedule) == ours


@pytest.mark.parametrize(
    ("name", "schedule", "ours"),
    [
        ("Euler a", None, "euler_a"),
        ("euler A", "automatic", "euler_a"),
        ("Euler", "Uniform", "euler"),
        ("Euler", "sgm_uniform", None),
        ("Euler", "Karras", None),
        ("DPM++ 2M", None, "dpmpp_2m_karras"),
        ("DPM++ 2M", "Automatic", "dpmpp_2m_karras"),
        ("DPM++ 2M", "karras", "dpmpp_2m_karras"),
        ("DPM++ 2M", "normal", "dpmpp_2m"),
        ("DPM++ 2M", "Exponential", None),
        ("DPM++ 2M Karras", None, "dpmpp_2m_karras"),
        ("DPM++ 2M Karras", "Automatic", "dpmpp_2m_karras"),
        ("DPM++ 2M SDE", "Automatic", "dpmpp_2m_sde"),
        ("DPM++ 2M SDE Exponential", None, None),
        ("DPM++ SDE", None, "dpmpp_sde_single"),
        ("k_dpmpp_2m", "Karras", None),
        ("k_dpmpp_2m", None, "dpmpp_2m"),
        ("PLMS", None, "pndm"),
        ("dpmpp_2m", "Karras", None),
        ("dpmpp_2m_karras", "Karras", "dpmpp_2m_karras"),
        ("DPM adaptive", None, None),
        ("Euler", "no such schedule", None),
        ("", None, None),
        (" Karras", None, None),
    ],
)
def test_a_name_of_the_web_ui_is_a_sampler_or_none(
    name: str, schedule: str | None, ours: str | None
) -> None:
    assert sampler_named(name, schedule) == ours
