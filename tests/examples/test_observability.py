"""The programs of the guide "Observability" do what the guide says.

They run in a process of their own, because Sentry patches what it finds installed.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import ROOT

PROGRAM = """
import runpy, sys
import sentry_sdk
from werkzeug.test import Client

shop = runpy.run_path(sys.argv[1])
names, sent = {}, []

def spans():
    shop["provider"].force_flush()
    for span in shop["exporter"].get_finished_spans():
        names[span.context.span_id] = span.name.rpartition(".")[2]
    for span in shop["exporter"].get_finished_spans():
        print(names[span.context.span_id], "in", span.parent and names[span.parent.span_id])
    shop["exporter"].clear()

def tell(event, hint):
    sent.append((event["transaction"].rpartition(".")[2], event["tags"]["wsgibg.attempt"]))

def ask(application, *args, **kwargs):
    print(Client(application).open(*args, buffered=True, **kwargs).text)
    assert shop["app"].drain(10) == shop["site"].drain(10) == []
    spans()

ask(shop["application"], "/orders?email=ada@example.com", method="POST")
sentry_sdk.init("http://key@127.0.0.1:9/1", before_send=tell, shutdown_timeout=0)
ask(shop["application"], "/orders", method="POST")
ask(shop["site"], "/")
print("sent", *sent)
for line in Client(shop["app"]).get("/metrics/", buffered=True).text.splitlines():
    if line.startswith("wsgibg_tasks_total"):
        print(line.partition("name=")[2])
"""

SEEN = """\
"accepted"
POST /orders in None
smtp in send_mail
send_mail in None
"accepted"
POST /orders in None
smtp in send_mail
send_mail in None
smtp in send_mail
send_mail in None
smtp in send_mail
send_mail in None
ok
GET / in None
smtp in send_mail
send_mail in None
sent ('send_mail', '3')
"<run_path>.send_mail",state="succeeded"} 2.0
"<run_path>.send_mail",state="failed"} 1.0
"""


def test_the_programs():
    """An order, one whose mail fails three times, and a wrapped application."""
    for name in ("opentelemetry.instrumentation.wsgi", "prometheus_client", "sentry_sdk"):
        pytest.importorskip(name)

    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT / "examples" / "guide" / "observability.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "SENTRY_DSN"},
    )

    assert run.stdout == SEEN, run.stderr
