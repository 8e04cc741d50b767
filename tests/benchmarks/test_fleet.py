"""The benchmark of a fleet, with two fast workers for two seconds."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_fleet_of_simulated_devices_makes_every_picture_without_torch(tmp_path: Path) -> None:
    found = tmp_path / "fleet.json"
    command = [sys.executable, "benchmarks/fleet.py", "--quick", "--json", str(found)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    quick = json.loads(found.read_text())["quick"]
    assert quick["as_seen"]["accepted"] == quick["as_seen"]["fetched"] > 0
    assert quick["pictures_per_s"] > 0
    assert quick["workers_with_torch"] == 0
    assert quick["worker_mb"] < 120  # of 8 GB for 64
