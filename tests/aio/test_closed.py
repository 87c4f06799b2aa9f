"""Whoever comes while the loop closes gets an error, and nobody waits forever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import Context

import pytest

from tests.aio.support import output
from wsgibg._aio import LoopShutdown, drive, hop, lend, run, sequence, shutdown
from wsgibg._aio._lending import Turn
from wsgibg._aio._loop import Call, Portal, process
from wsgibg._aio._threads import held_lock


async def nap() -> int:
    await asyncio.sleep(0)
    return 1


async def make_task() -> asyncio.Task[int]:
    coroutine = nap()
    try:
        return asyncio.create_task(coroutine)
    finally:
        coroutine.close()


async def quick() -> int:
    return 2


@pytest.fixture(name="closed", autouse=True)
def _closed() -> Iterator[Portal]:
    """A loop that was closed after a thread had looked it up."""
    run(nap(), Context())
    portal = process.portal
    assert portal is not None
    shutdown(1)
    process.portal = portal
    yield portal
    process.portal = None


def test_a_hop_is_refused():
    """By every way in; the coroutine is closed and does not warn."""

    async def code() -> None:
        await hop(nap())

    with pytest.raises(LoopShutdown, match=r"nap\(\) \(.*\) cannot run: the event loop is shut"):
        run(nap(), Context())
    with pytest.raises(LoopShutdown):
        drive(code(), Context())


def test_a_sequence_takes_nothing():
    """Its jobs stay with the caller."""
    coroutine = nap()
    jobs = iter([(Context(), coroutine)])

    with pytest.raises(LoopShutdown):
        sequence(jobs, print)

    assert next(jobs)[1] is coroutine
    coroutine.close()


def test_lent_code_runs_but_cannot_schedule():
    """What needs no loop works; what does gets asyncio's own error."""
    assert lend(quick()) == 2
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        lend(make_task())


def test_a_turn_is_refused(closed):
    """A closed loop never hands itself over."""
    with closed.lock, pytest.raises(LoopShutdown):
        lend(quick())


def test_a_shutdown_has_nothing_to_do():
    """It returns at once."""
    assert shutdown(1) == []


def test_the_thread_s_last_act_is_to_wake_everyone():
    """A call or a turn that was accepted, and never began, does not wait forever."""
    portal = Portal()
    call, turn, ready = Call(portal, nap(), Context()), portal.turn(), held_lock()
    portal.live.add(call)
    portal.turns.add(turn)

    portal.end(ready)

    assert call.wake.acquire(timeout=1)
    assert isinstance(call.error, LoopShutdown)
    assert isinstance(turn, Turn)
    assert turn.go.acquire(timeout=1)
    assert ready.acquire(timeout=1)
    assert portal.lock.acquire(timeout=1)


def test_a_second_call_of_refuse_does_nothing():
    """The thread that submits and the loop's thread may both refuse."""
    portal = Portal()
    call = Call(portal, nap(), Context())
    portal.live.add(call)

    call.refuse()
    call.refuse()

    assert call.wake.acquire(timeout=1)


def test_an_interrupted_call_of_a_closed_loop_has_ended(closed):
    """The interruption is what is raised."""
    call, why = Call(closed, quick(), Context()), KeyboardInterrupt()

    assert call.abandon(why) is why
    assert call.ended
    call.refuse()


def test_a_first_use_after_the_watcher_does_not_keep_the_process():
    """A daemon thread may come that late; the loop it started is stopped at once."""
    source = """
    import asyncio
    from contextvars import Context
    from wsgibg._aio import LoopShutdown, run
    from wsgibg._aio._loop import process

    process.main_end.watched = process.main_end.over = True
    try:
        run(asyncio.sleep(0), Context())
    except LoopShutdown:
        print("refused")
    """
    assert output(source, seconds=10) == ["refused"]


def test_a_thread_that_hangs_in_a_coroutine_does_not_keep_the_process():
    """After a time its coroutine is cancelled."""
    source = """
    import asyncio, logging, threading
    from contextvars import Context
    from wsgibg._aio import LoopShutdown, run
    from wsgibg._aio._loop import process

    logging.disable()  # it reports the cancellation

    async def nap(seconds):
        begun.set()
        await asyncio.sleep(seconds)
        return seconds

    def work():
        try:
            run(nap(60), Context())
        except LoopShutdown:
            print("cancelled")

    begun = threading.Event()
    process.main_end.seconds = 0.2
    threading.Thread(target=work).start()
    begun.wait(10)
    """
    assert output(source, seconds=15) == ["cancelled"]
