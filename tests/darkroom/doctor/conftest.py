"""`darkroom doctor` as it is run, and what it found."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from darkroom.cli import main


@dataclass(frozen=True, slots=True)
class Report:
    code: int
    findings: list[dict[str, str]]

    def of(self, about: str) -> list[tuple[str, str, str | None]]:
        return [
            (each["level"], each["what"], each["remedy"])
            for each in self.findings
            if each["about"] == about
        ]

    def says(self, about: str, level: str, part: str) -> bool:
        """Whether it is found, with how to mend it where it is to be mended."""
        return any(
            found == level and part in what and bool(remedy) is (level != "ok")
            for found, what, remedy in self.of(about)
        )


Doctor = Callable[..., Report]
"""Takes options, and settings of the environment by their names."""


@pytest.fixture
def doctor(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Doctor:
    for name in os.environ:
        if name.startswith("DARKROOM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def run(*options: str, **settings: str) -> Report:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main(["doctor", "--json", *options])
        told = json.loads(capsys.readouterr().out)
        levels = {each["level"] for each in told["findings"]}
        assert told["level"] == next(each for each in ("fail", "warn", "ok") if each in levels)
        assert all(each["what"].endswith((".", ")")) for each in told["findings"])
        return Report(int(end.value.code or 0), told["findings"])

    return run
