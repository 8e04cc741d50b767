import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_http_side_does_not_load_torch() -> None:
    code = "import sys, app.main; sys.exit('torch' in sys.modules or 'worker' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
