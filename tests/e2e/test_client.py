"""docs/client.md, run as its readers would do it."""

import re
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.service import ROOT

PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")


def test_the_examples_do_what_they_say(
    service: httpx.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.replace("http://127.0.0.1:8000", str(service.base_url))
    page = page.replace("steps=10", "steps=3")  # they would wait longer
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, {})
    said = capsys.readouterr().out
    for sentence in ("step ", "succeeded after ", "starter 128 128", "['e2e']", "('steps', "):
        assert sentence in said
    assert {path.name for path in tmp_path.iterdir()} >= {"apple.png", "rocket.png"}
    with Image.open(tmp_path / "preview-0-1.webp") as preview:
        assert preview.format == "WEBP"
