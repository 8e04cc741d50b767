"""Every benchmark that writes what it measured says its command, and stands in a document."""

from pathlib import Path

import pytest

from tests.service import ROOT

SCRIPTS = [
    script
    for script in sorted((ROOT / "benchmarks").glob("*.py"))
    if "--json" in script.read_text(encoding="utf-8")
]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.stem))
def test_a_benchmark_says_its_command_and_stands_in_a_document(script: Path) -> None:
    command = f"python benchmarks/{script.name}"
    assert command in script.read_text(encoding="utf-8").split('"""')[1]
    assert f"benchmarks/{script.name}" in TEXT
