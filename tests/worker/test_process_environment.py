"""What the worker's package sets before torch is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PRINTS = "import os, worker; print(os.environ.get('THP_MEM_ALLOC_ENABLE'))"
HAS_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage").exists()


def asked_for(environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", PRINTS]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()


@pytest.mark.skipif(not HAS_HUGE_PAGES, reason="the kernel has no huge pages")
def test_torch_is_to_ask_for_huge_pages_unless_an_operator_says_otherwise() -> None:
    bare = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    assert asked_for(bare) == "1"
    assert asked_for(bare | {"THP_MEM_ALLOC_ENABLE": "0"}) == "0"
