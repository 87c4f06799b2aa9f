"""`examples/demo.py`, the README's first command."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.support import ROOT


def test_the_demonstration_shows_the_answer_before_the_task():
    """It prints the answer, then the line that the background task wrote, with their times."""
    run = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    answer, line = re.findall(
        r"after (\d+) ms the (answer: 200|task's line in the log: .+)", run.stdout
    )
    assert answer[1] == "answer: 200"
    assert "ada@example.com" in line[1]
    assert int(answer[0]) < int(line[0])
