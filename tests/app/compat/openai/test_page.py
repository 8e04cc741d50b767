"""docs/openai.md says what the code does."""

import re
from pathlib import Path

from app.compat.openai.body import OURS, ImagesBody
from app.compat.openai.qualities import STEPS
from contract.request import GenerateRequest

PAGE = (Path(__file__).parents[4] / "docs" / "openai.md").read_text(encoding="utf-8")


def test_the_steps_of_a_quality_are_those_of_the_code() -> None:
    (line,) = re.findall(r"denoising steps: (.*?)\. ", PAGE)
    found = {
        name: int(steps)
        for names, steps in re.findall(r"((?:`\w+`(?: and )?)+) (\d+)", line)
        for name in re.findall(r"`(\w+)`", names)
    }
    default = GenerateRequest(prompt="a").steps
    assert found == STEPS | {"auto": default, "standard": default}


def test_every_field_is_told_of() -> None:
    missing = {name for name in (*ImagesBody.model_fields, *OURS) if f"`{name}`" not in PAGE}
    assert missing == set()
