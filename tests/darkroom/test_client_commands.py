"""What the commands say of themselves."""

import pytest

from contract.request import MOST_STEPS
from contract.samplers import SAMPLERS
from darkroom.cli import main
from darkroom.client_commands import REQUEST_FIELDS


def test_every_option_of_generate_is_described_with_its_bounds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    told = " ".join(capsys.readouterr().out.split()).replace("- ", "-")  # as it was before wrapping
    for name in REQUEST_FIELDS:
        if name != "prompt":
            _, described = told.rsplit(f"--{name.replace('_', '-')} {name.upper()} ", 1)
            assert described[0] != "-"
    assert f"Denoising steps. From 1 to {MOST_STEPS}. Default: 30." in told
    assert ", ".join(SAMPLERS) in told
