from __future__ import annotations

import subprocess
import sys


def test_python_m_benchmarks_is_the_run():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"], check=True, capture_output=True, text=True, timeout=300
    )
    assert "--only" in done.stdout
