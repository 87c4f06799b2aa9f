"""Under gevent the loop is a native thread, and a greenlet waits without stopping its hub."""

from __future__ import annotations

import importlib.util
import subprocess

import pytest

from tests.aio.support import output, program

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gevent") is None, reason="gevent is not installed here"
)

GREEN = """
    from gevent import monkey; monkey.patch_all()
    import asyncio, gevent, threading, time
    from contextvars import Context, ContextVar
    from wsgibg._aio import *

    async def nap(seconds=0):
        await asyncio.sleep(seconds)
        return seconds

    def spawn(function, *args):
        return gevent.spawn(function, *args)
"""
# What gevent itself does is not ours to repair.
QUIET = ("-W", "default")


def test_many_greenlets_wait_at_the_same_time_and_the_hub_goes_on():
    """50 greenlets of 0.2 s each take about 0.2 s, and another greenlet ticks meanwhile."""
    source = (
        GREEN
        + """
    ticks = []

    def tick():
        while True:
            gevent.sleep(0.01)
            ticks.append(1)

    run(nap(), Context())
    ticking = spawn(tick)
    begin = time.monotonic()
    waiting = [spawn(run, nap(0.2), Context()) for _ in range(50)]
    gevent.joinall(waiting)
    taken = time.monotonic() - begin
    print([one.value for one in waiting] == [0.2] * 50, 0.2 <= taken < 2, len(ticks) >= 5)
    """
    )
    assert output(source, *QUIET) == ["True True True"]


def test_many_greenlets_may_start_the_loop_at_once():
    """There is one loop all the same."""
    source = (
        GREEN
        + """
    async def the_loop():
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    starting = [spawn(run, the_loop(), Context()) for _ in range(10)]
    gevent.joinall(starting)
    print(len({one.value for one in starting}))
    """
    )
    assert output(source, *QUIET) == ["1"]


def test_the_loop_is_a_native_thread_and_no_greenlet_sees_it():
    """So `asyncio.run` in a sync handler works, as it does in any other thread."""
    source = (
        GREEN
        + """
    ident = monkey.get_original("_thread", "get_ident")

    async def where():
        return ident()

    print(run(where(), Context()) != ident())
    print(asyncio._get_running_loop(), asyncio.run(nap(0.01)))
    """
    )
    assert output(source, *QUIET) == ["True", "None 0.01"]


def test_driven_code_and_sequences_work():
    """With the request's variables, as everywhere."""
    source = (
        GREEN
        + """
    variable = ContextVar("variable")

    async def read():
        await asyncio.sleep(0)
        return variable.get()

    async def code():
        variable.set("mine")
        return await hop(read())

    print(drive(code(), Context()))
    told = []
    sequence(((Context(), nap(0.01)) for _ in range(3)), told.append)
    print(told)
    """
    )
    assert output(source, *QUIET) == ["mine", "[None, None, None]"]


def test_killing_a_waiting_greenlet_cancels_its_coroutine():
    """Its `finally` runs, and the log says what became of it."""
    source = (
        GREEN
        + """
    async def endless():
        try:
            await asyncio.sleep(60)
        finally:
            print("finally", flush=True)

    run(nap(), Context())
    greenlet = spawn(run, endless(), Context())
    gevent.sleep(0.05)
    greenlet.kill()
    print("killed")
    """
    )
    done = program(source, *QUIET)
    assert done.stdout.split() == ["finally", "killed"]
    assert "GreenletExit() interrupted the wait for endless()" in done.stderr
    assert "which was cancelled" in done.stderr


def test_lending_is_not_possible():
    """A greenlet that switches while it holds the loop would stop everything."""
    source = (
        GREEN
        + """
    print(lending_possible())
    coroutine = nap()
    try:
        lend(coroutine)
    except RuntimeError as error:
        print(error)
    coroutine.close()
    """
    )
    assert output(source, *QUIET) == [
        "False",
        "lend() needs lending_possible(); elsewhere use hop() or run()",
    ]


def test_one_http_client_serves_many_greenlets():
    """An `httpx.AsyncClient` made once, used from several greenlets against a real server."""
    pytest.importorskip("httpx")
    source = (
        GREEN
        + """
    import httpx
    from gevent.pywsgi import WSGIServer

    def application(environ, start_response):
        gevent.sleep(0.1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    server = WSGIServer(("127.0.0.1", 0), application, log=None)
    server.start()
    base = f"http://localhost:{server.server_port}"

    async def make():
        return httpx.AsyncClient(base_url=base, timeout=20)

    async def get(path):
        return (await client.get(path)).text

    client = run(make(), Context())
    begin = time.monotonic()
    asking = [spawn(run, get(f"/{number}"), Context()) for number in range(10)]
    gevent.joinall(asking)
    taken = time.monotonic() - begin
    print([one.value for one in asking] == [f"/{number}" for number in range(10)], taken < 0.9)
    run(client.aclose(), Context())
    server.stop()
    """
    )
    assert output(source, *QUIET) == ["True True"]


@pytest.mark.parametrize(
    "last",
    [
        "pass",
        "run(asyncio.to_thread(print, 'thread'), Context())",
        "spawn(run, nap(60), Context()); gevent.sleep(0.05)",
        "print(shutdown(1)); run(nap(), Context())",
    ],
    ids=["idle", "executor", "waiting", "restarted"],
)
def test_a_process_ends_by_itself(last):
    """Whatever still runs on the loop; its executor's workers are greenlets of its thread."""
    done = program(GREEN + f"\n    run(nap(), Context())\n    {last}\n", *QUIET, seconds=15)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr or "interrupted the wait" in done.stderr


def test_callbacks_at_the_end_may_use_the_loop():
    """They come before it is stopped."""
    source = (
        GREEN
        + """
    when_main_ends(lambda: print("drained", run(nap(0.01), Context())))
    run(nap(), Context())
    """
    )
    assert output(source, *QUIET) == ["drained 0.01"]


def test_timeouts_of_gevent_interrupt_a_wait():
    """`gevent.Timeout` is raised in the waiting greenlet."""
    source = (
        GREEN
        + """
    run(nap(), Context())
    try:
        with gevent.Timeout(0.05):
            run(nap(60), Context())
    except gevent.Timeout:
        print("timeout")
    """
    )
    done: subprocess.CompletedProcess[str] = program(source, *QUIET)
    assert done.stdout.split() == ["timeout"]
    assert "was cancelled" in done.stderr
