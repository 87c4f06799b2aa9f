"""The loop's life in a process: start, end, interruption, fork. Real processes."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context

import pytest

from tests.aio.support import loop_threads, output, program
from tests.support import wait_for
from wsgibg._aio import LoopShutdown, drive, hop, run, shutdown, when_main_ends

# --- start and end ----------------------------------------------------------------------------


def test_importing_starts_nothing():
    """No thread, no loop."""
    assert output("import threading, wsgibg._aio; print(threading.active_count())") == ["1"]


SCRIPT = """
    import asyncio, threading, time
    from contextvars import Context
    from wsgibg._aio import *

    async def nap(seconds=0):
        await asyncio.sleep(seconds)
        return seconds
    """


def test_a_script_that_used_the_loop_ends_by_itself():
    """The loop's thread is no daemon, and the watcher of the main thread stops it."""
    begin = time.monotonic()
    assert output(SCRIPT + "print(run(nap(), Context()))") == ["0"]
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("flags", [(), ("-X", "dev")], ids=["", "dev"])
def test_a_script_ends_although_its_loop_is_busy(flags):
    """Tasks of the user's own, executor threads and waiting daemon threads do not keep it."""
    source = (
        SCRIPT
        + """
    async def leave_things_running():
        asyncio.create_task(nap(60), name="user's")
        await asyncio.to_thread(print, "thread")
        asyncio.get_running_loop().call_later(60, print)

    run(leave_things_running(), Context())
    threading.Thread(target=run, args=(nap(60), Context()), daemon=True).start()
    print("end")
    """
    )
    begin = time.monotonic()
    done = program(source, *flags)
    assert done.returncode == 0
    assert done.stdout.split() == ["thread", "end"]
    assert time.monotonic() - begin < 8


def test_calls_of_other_threads_are_let_finish():
    """A thread that the interpreter waits for gets its answer after the main thread's end."""
    source = (
        SCRIPT
        + """
    async def slow():
        begun.set()
        return await nap(0.3)

    def two_calls():
        print(run(slow(), Context()))
        print(run(slow(), Context()), lend(the_end()))

    async def the_end():
        return "end"

    begun = threading.Event()
    threading.Thread(target=two_calls).start()
    begun.wait(10)
    print("main ends")
    """
    )
    assert output(source) == ["main ends", "0.3", "0.3 end"]


def test_callbacks_at_the_main_thread_s_end_come_before_the_loop_s():
    """So a pool can finish its async tasks; an error is logged and stops nobody."""
    source = (
        SCRIPT
        + """
    def drain():
        print("drained", run(nap(0.01), Context()))

    def fail():
        raise ValueError("in a callback")

    when_main_ends(fail)
    when_main_ends(drain)
    when_main_ends(drain)
    run(nap(), Context())
    print("main ends")
    """
    )
    done = program(source)
    assert done.stdout.splitlines() == ["main ends", "drained 0.01"]
    assert "in a callback" in done.stderr
    assert done.returncode == 0


def test_a_callback_needs_no_loop():
    """`when_main_ends` starts the watcher, not the loop."""
    source = """
    import threading, time
    from wsgibg._aio import when_main_ends

    ended = threading.Event()
    when_main_ends(ended.set)
    threading.Thread(target=lambda: print(ended.wait(10))).start()
    """
    assert output(source) == ["True"]


def test_the_same_callback_is_registered_once():
    """In this process it is only noted (its call is tested in a process that ends)."""
    when_main_ends(threading.active_count)
    threads = threading.active_count()
    when_main_ends(threading.active_count)
    assert threading.active_count() == threads


def test_a_loop_that_died_is_replaced():
    """A callback's `SystemExit` ends the loop; waiting threads get an error, later ones a loop."""
    source = (
        SCRIPT
        + """
    async def kill():
        asyncio.get_running_loop().call_soon(exit, 3)
        await asyncio.sleep(60)

    try:
        run(kill(), Context())
    except LoopShutdown as error:
        print(error)
    print(run(nap(), Context()))
    """
    )
    done = program(source)
    first, second = done.stdout.splitlines()
    assert first.startswith("the event loop was shut down while kill() (<string>:")
    assert second == "0"
    assert "the event loop's thread ends" in done.stderr


def test_a_loop_that_cannot_start_is_an_error():
    """For example where no file descriptor is left: it is no wait without end."""
    source = (
        SCRIPT
        + """
    import resource
    run(nap(), Context()); shutdown(1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 100))
    coroutine = nap()
    try:
        run(coroutine, Context())
    except RuntimeError as error:
        print(error, type(error.__cause__).__name__)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    print(run(nap(), Context()))
    """
    )
    done = program(source)
    assert done.stdout.splitlines() == ["the event loop cannot be started OSError", "0"]


# --- shutdown ---------------------------------------------------------------------------------


async def nap(seconds: float = 0) -> float:
    await asyncio.sleep(seconds)
    return seconds


def test_shutdown_lets_short_calls_finish_and_cancels_long_ones(caplog):
    """It names what it cancelled; the waiting thread gets `LoopShutdown`, `finally` runs."""
    run(nap(), Context())
    begun, cleaned = threading.Event(), threading.Event()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    with ThreadPoolExecutor(2) as pool:
        short, long = pool.submit(run, nap(0.1), Context()), pool.submit(run, endless(), Context())
        assert begun.wait(5)
        cancelled = shutdown(0.5)
        assert short.result(5) == 0.1
        with pytest.raises(LoopShutdown, match=r"shut down while .*endless\(\)"):
            long.result(5)

    assert len(cancelled) == 1
    assert "endless() (" in cancelled[0]
    assert cleaned.is_set()
    assert "was cancelled" in caplog.text
    wait_for(lambda: loop_threads() == [])


def test_shutdown_is_idempotent_and_the_loop_starts_again():
    """A call after it gets a new loop."""
    run(nap(), Context())
    assert shutdown(1) == []
    assert shutdown(1) == []
    assert run(nap(), Context()) == 0
    assert shutdown(1) == []


def test_two_shutdowns_at_once_both_return():
    """The second waits for the first, and reports nothing."""
    begun = threading.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.sleep(60)

    with ThreadPoolExecutor(3) as pool:
        call = pool.submit(run, endless(), Context())
        assert begun.wait(5)
        found = sorted(map(len, pool.map(shutdown, [0.05, 0.05])))
        with pytest.raises(LoopShutdown):
            call.result(5)

    assert found == [0, 1]


def test_calls_during_a_shutdown_are_refused():
    """Their coroutine is closed and does not warn."""
    begun = threading.Event()

    async def slow() -> None:
        begun.set()
        await asyncio.sleep(0.3)

    async def code() -> None:
        await hop(nap())

    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(run, slow(), Context())
        assert begun.wait(5)
        stopping = pool.submit(shutdown, 5)

        def refused() -> str:
            try:
                run(nap(), Context())
            except LoopShutdown as error:
                return str(error)
            return ""

        assert "nap() (" in wait_for(refused)
        with pytest.raises(LoopShutdown):
            drive(code(), Context())
        assert call.result(5) is None
        assert stopping.result(5) == []


def test_many_threads_survive_shutdowns_at_any_moment():
    """Each call ends, with its value or with `LoopShutdown`; none waits forever."""
    stop = threading.Event()
    counts = {"served": 0, "refused": 0}

    def serve() -> None:
        while not stop.is_set():
            try:
                run(nap(), Context())
                counts["served"] += 1
            except LoopShutdown:
                counts["refused"] += 1

    with ThreadPoolExecutor(4) as pool:
        serving = [pool.submit(serve) for _ in range(4)]
        for _ in range(30):
            shutdown(0.01)
        stop.set()
        for one in serving:
            one.result(10)

    assert counts["served"] > 0


# --- interruption -----------------------------------------------------------------------------

INTERRUPTED = """
    import asyncio, logging, signal, sys, time
    from contextvars import Context, ContextVar
    from wsgibg._aio import *

    logging.basicConfig(format="%(levelname)s %(name)s %(message)s", stream=sys.stdout)
    variable = ContextVar("variable", default="unset")

    def interrupt_after(seconds, error):
        def handler(*_):
            raise error
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    async def nap():
        try:
            await asyncio.sleep(60)
        finally:
            print("finally", flush=True)

    async def stubborn():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)

    async def breaks():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("broken") from None
    """


def test_a_waiting_main_thread_that_is_interrupted_cancels_the_coroutine():
    """Like gunicorn's timeout: raised at once, `finally` runs, and the log tells the end."""
    source = (
        INTERRUPTED
        + """
    interrupt_after(0.1, SystemExit("timeout"))
    begin = time.monotonic()
    try:
        run(nap(), Context())
    except SystemExit as error:
        print(error, time.monotonic() - begin < 0.4)
    """
    )
    lines = output(source)
    assert lines[0] == "finally"
    assert lines[1].startswith("ERROR wsgibg.loop SystemExit('timeout') interrupted the wait for ")
    assert "nap() (" in lines[1]
    assert lines[1].endswith("which was cancelled")
    assert lines[-1] == "timeout True"


@pytest.mark.parametrize(
    ("coroutine", "became"),
    [("stubborn", "finished all the same"), ("breaks", "raised ValueError")],
)
def test_the_log_says_what_became_of_an_interrupted_coroutine(coroutine, became):
    """It may refuse to be cancelled, or fail."""
    source = (
        INTERRUPTED
        + f"""
    interrupt_after(0.1, KeyboardInterrupt())
    try:
        run({coroutine}(), Context())
    except KeyboardInterrupt:
        print("interrupted")
    """
    )
    lines = output(source)
    assert any(line.startswith("ERROR") and line.endswith(became) for line in lines)
    assert lines[-1] == "interrupted"


def test_an_interruption_is_thrown_into_driven_code():
    """So its exits run, in the request's context, and may hop themselves."""
    source = (
        INTERRUPTED
        + """
    async def close():
        await asyncio.sleep(0)
        print("closed", variable.get())

    async def code():
        variable.set("mine")
        try:
            await hop(nap())
        finally:
            await hop(close())

    interrupt_after(0.1, SystemExit(5))
    drive(code(), Context())
    """
    )
    done = program(source)
    assert done.returncode == 5
    assert done.stdout.splitlines()[-1] == "closed mine"


def test_exits_run_beside_a_coroutine_that_will_not_end():
    """In a copy of the context, because the coroutine may enter the context at any time."""
    source = (
        INTERRUPTED
        + """
    async def very_stubborn():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            variable.set("stubborn")
            await asyncio.sleep(1)

    async def code():
        variable.set("mine")
        try:
            await hop(very_stubborn())
        finally:
            print("exit", variable.get())
            variable.set("exit")

    interrupt_after(0.1, SystemExit(5))
    context = Context()
    begin = time.monotonic()
    try:
        drive(code(), context)
    except SystemExit:
        print(time.monotonic() - begin < 1, context[variable])
    """
    )
    lines = output(source)
    assert lines[:2] == ["exit stubborn", "True stubborn"]
    assert any("interrupted the wait for very_stubborn()" in line for line in lines)


def test_a_second_interruption_ends_the_wait_for_the_first():
    """Who presses Ctrl-C twice does not wait."""
    source = (
        INTERRUPTED
        + """
    errors = [KeyboardInterrupt("first"), KeyboardInterrupt("second")]
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(errors.pop(0)))
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)

    async def refuses():
        for _ in range(4):
            try:
                await asyncio.sleep(0.3)
            except asyncio.CancelledError:
                pass

    begin = time.monotonic()
    try:
        run(refuses(), Context())
    except KeyboardInterrupt as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(error, time.monotonic() - begin < 0.4)
    """
    )
    assert "second True" in output(source)


def test_an_interrupted_sequence_takes_no_more():
    """`done` gets the interruption for the coroutine that ran, and the caller does too."""
    source = (
        INTERRUPTED
        + """
    told = []

    async def ok():
        pass

    never = ok()
    jobs = iter([(Context(), ok()), (Context(), nap()), (Context(), never)])
    interrupt_after(0.1, SystemExit("timeout"))
    try:
        sequence(jobs, told.append)
    except SystemExit as error:
        print(error, told)
    never.close()
    """
    )
    lines = output(source)
    assert lines[0] == "finally"
    assert "nap() (" in lines[1]
    assert lines[-1] == "timeout [None, SystemExit('timeout')]"


def test_a_coroutine_of_an_interrupted_sequence_that_finishes_all_the_same_succeeded():
    """`done` gets None for it, and no more are taken."""
    source = (
        INTERRUPTED
        + """
    told = []
    never = nap()
    interrupt_after(0.1, SystemExit("timeout"))
    try:
        sequence(iter([(Context(), stubborn()), (Context(), never)]), told.append)
    except SystemExit as error:
        print(error, told)
    never.close()
    """
    )
    lines = output(source)
    assert any(line.endswith("finished all the same") for line in lines)
    assert lines[-1] == "timeout [None]"


def test_a_lender_that_is_interrupted_leaves_the_loop_usable():
    """Wherever the signal arrives: while it waits for its turn, or while it is the loop."""
    source = (
        INTERRUPTED
        + """
    import threading
    logging.disable()

    async def quick():
        return 1

    async def block():
        time.sleep(0.02)

    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            run(block(), Context())
            lend(block())

    threading.Thread(target=keep_busy).start()
    interrupted = 0
    for number in range(60):
        interrupt_after(0.001 + 0.0007 * number, SystemExit("timeout"))
        try:
            while True:
                lend(quick())
                lend(block())
        except SystemExit:
            interrupted += 1
        assert asyncio._get_running_loop() is None
        assert lend(quick()) == 1
        assert run(quick(), Context()) == 1
    stop.set()
    print(interrupted)
    """
    )
    # A coroutine that was made, and not yet lent, when the signal came warns about it.
    assert output(source, "-W", "ignore::RuntimeWarning") == ["60"]


# --- fork -------------------------------------------------------------------------------------

FORK = (
    SCRIPT
    + """
    import os, sys, threading

    async def the_loop():
        return asyncio.get_running_loop()

    def child(check):
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            check()
            sys.stdout.flush()
            os._exit(0) if EXIT else sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
)

# To fork a process that has threads is deprecated from Python 3.12 on; servers do it all the same.
FORKING = ("-W", "ignore:This process:DeprecationWarning")


@pytest.mark.parametrize("leave", ["True", "False"], ids=["os._exit", "sys.exit"])
def test_a_forked_child_makes_its_own_loop_and_leaves_the_parent_s_alone(leave):
    """They share an epoll object, so a child that closed its parent's loop would deafen it."""
    source = (
        FORK.replace("EXIT", leave)
        + """
    mine = run(the_loop(), Context())
    lend(the_loop())

    def check():
        other = run(the_loop(), Context())
        print("child", other is not mine, run(nap(), Context()), lend(the_loop()) is other)

    child(check)
    print("parent", run(the_loop(), Context()) is mine, run(nap(0.01), Context()))
    print("end")
    """
    )
    lines = output(source, *FORKING)
    assert lines[0] == "child True 0 True"
    assert lines[-2:] == ["parent True 0.01", "end"]


def test_a_child_may_be_forked_while_another_thread_holds_the_loop():
    """Or while it is being started; the child has locks of its own."""
    source = (
        FORK.replace("EXIT", "True")
        + """
    begun, stop = threading.Event(), threading.Event()

    async def hold():
        begun.set()
        stop.wait(20)

    async def quick():
        return 5

    lender = threading.Thread(target=lambda: lend(hold()))
    lender.start()
    begun.wait(10)
    child(lambda: print("child", lend(quick()), run(quick(), Context())))
    stop.set()
    lender.join()
    print("parent", lend(quick()), run(quick(), Context()))
    """
    )
    assert output(source, *FORKING) == ["child 5 5", "parent 5 5"]


def test_a_child_forked_by_a_lender_is_not_the_loop():
    """And the parent, which was interrupted by nothing, still is."""
    source = (
        FORK.replace("EXIT", "True")
        + """
    async def quick():
        return 5

    async def forks():
        child(lambda: print("child", run(quick(), Context()), lend(quick())))
        return asyncio.get_running_loop()

    mine = run(the_loop(), Context())
    print("parent", lend(forks()) is mine, run(quick(), Context()))
    """
    )
    assert output(source, *FORKING) == ["child 5 5", "parent True 5"]


def test_children_end_by_themselves_and_call_back():
    """A callback registered before the fork is called in a child that registers it again."""
    source = (
        FORK.replace("EXIT", "False")
        + """
    def end():
        print("end of", "child" if os.getpid() != parent else "parent", flush=True)

    parent = os.getpid()
    when_main_ends(end)

    def check():
        when_main_ends(end)
        run(nap(), Context())

    child(check)
    """
    )
    assert output(source, *FORKING) == ["end of child", "end of parent"]
