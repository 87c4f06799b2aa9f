"""`examples/signup.py`, the README's program."""

from __future__ import annotations

import runpy

import werkzeug.serving

from tests.support import ROOT, client

PATH = ROOT / "examples" / "signup.py"


def test_the_program_prints_one_line_for_a_request(monkeypatch, capsys):
    """It serves an application on Werkzeug's threaded server, whose task prints."""
    served = []
    monkeypatch.setattr(werkzeug.serving, "run_simple", lambda *args, **kw: served.append(args[2]))

    runpy.run_path(str(PATH))
    answer = client(served[0]).post("/signup/ada@example.com")

    assert answer.text == '{"message":"welcome"}'
    assert capsys.readouterr().out == "mail sent to ada@example.com\n"


def test_the_program_has_twelve_lines():
    """Blank lines and the docstring do not count."""
    code = PATH.read_text(encoding="utf-8").split('"""')[-1]

    assert len([line for line in code.splitlines() if line.strip()]) == 12
