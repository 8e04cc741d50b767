"""What the commands say of themselves."""

import pytest

from contract.request import MOST_STEPS
from contract.samplers import SAMPLERS
from darkroom.cli import main
from darkroom.client_commands import REQUEST_FIELDS


def test_every_option_of_generate_is_described_with_its_bounds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # an option a line
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    told = {words[0]: " ".join(words[2:]) for words in lines if words and words[0][:2] == "--"}
    for name in REQUEST_FIELDS:
        assert name == "prompt" or told[f"--{name.replace('_', '-')}"]
    assert f"From 1 to {MOST_STEPS}. Default: 30." in told["--steps"]
    assert ", ".join(SAMPLERS) in told["--sampler"]
