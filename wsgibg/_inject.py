"""Views of other frameworks whose parameters are resolved like those of handlers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import cached_property, wraps
from inspect import isawaitable
from types import CoroutineType
from typing import Any, TypeVar, overload

from wsgibg._aio import lend, step
from wsgibg._beside import Beside, Stepped
from wsgibg._exits import Exit, leave_sync, swallowed
from wsgibg._foreign import ForeignScope, current_scope
from wsgibg._interpret import STACKS, Walk, enter
from wsgibg._scope import RequestScope
from wsgibg._signature import context_of
from wsgibg._steps import Call, Read
from wsgibg._view import View
from wsgibg.background import BackgroundTasks, ask_always, source_var
from wsgibg.exception_handlers import request_validation_exception_handler, text_of
from wsgibg.exceptions import FastAPIError, HTTPException, RequestValidationError
from wsgibg.params import Scope

__all__ = ["ViewValidationError", "inject"]

R = TypeVar("R")


class ViewValidationError(RequestValidationError, HTTPException):
    """What a request has for an injected parameter is wrong: FastAPI's 422.

    It is a `RequestValidationError` and one of Werkzeug's HTTP exceptions: Flask answers it by
    itself, and any WSGI code can by ``return error(environ, start_response)``.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        RequestValidationError.__init__(self, *args, **options)
        HTTPException.__init__(self, 422, self.errors())

    def get_body(self, *args: Any, **options: Any) -> str:
        """Werkzeug's hook for the body: FastAPI's JSON."""
        del args, options
        request: Any = None
        return request_validation_exception_handler(request, self).body.decode()

    def get_headers(self, *args: Any, **options: Any) -> list[tuple[str, str]]:
        """Werkzeug's hook for the headers."""
        del args, options
        return [("Content-Type", "application/json")]


@overload
def inject(view: Callable[..., Coroutine[Any, Any, R]]) -> Callable[..., R]: ...
@overload
def inject(view: Callable[..., R]) -> Callable[..., R]: ...
def inject(view: Callable[..., Any]) -> Callable[..., Any]:
    """Have parameters of a foreign framework's view resolved as those of a handler are.

    These are injected: ``Annotated[T, Depends(f)]`` and ``= Depends(f)`` (what `Depends` names may
    have parameters of its own), `BackgroundTasks`, `Request`, and what is marked with ``Query()``,
    ``Header()`` or ``Cookie()``. All others are the framework's, which sees a signature without
    the injected ones. A dependency gets the framework's arguments by their names, like path
    parameters. What is passed by keyword is not injected, so a test may call the view directly.

    A dependency is called once per call of the view (FastAPI's rule). ``yield`` dependencies are
    left by their scope: "function" when the view has returned, "request" (the default) when the
    response was sent, before its tasks, "tasks" after their first attempts (in a context of their
    own: variables that they set are not the view's). If the view raises,
    each sees the error at once, and the tasks that were added meanwhile are dropped and logged,
    unless their ``when`` says otherwise. Async views and dependencies run on the process's event
    loop.

    Args:
        view: a function or method: a Flask, Django, Pyramid or Bottle view, or a WSGI application.
            It is served inside of `wsgibg.wrap`.

    Returns:
        A sync function, for the framework.

    Raises:
        RegistrationError: a parameter is declared in a way that cannot work.

    Called, it raises `FastAPIError` outside of a wrapped request, and `ViewValidationError` if
    the request has a wrong value for a parameter.

    Example:
        >>> from wsgibg import Depends, wrap
        >>> from wsgibg.embedding import inject
        >>> def greeting() -> str:
        ...     return "hello"
        >>> @inject
        ... def hello(environ, start_response, word: str = Depends(greeting)):
        ...     start_response("200 OK", [("Content-Type", "text/plain")])
        ...     return [word.encode()]
        >>> app = wrap(hello)
    """
    declared = View(view)

    @wraps(view)
    def call(*args: Any, **kwargs: Any) -> Any:
        names = declared.left_out(kwargs)
        args, kwargs = declared.arranged(args, kwargs)
        if not names:
            result = view(*args, **kwargs)
            return Beside().wait(result) if isawaitable(result) else result
        scope = _request_of(declared.place, names)
        return _ViewCall(declared, names, scope, args, kwargs).result()

    call.__signature__ = declared.signature  # type: ignore[attr-defined]
    call.__annotations__ = {
        name: each for name, each in call.__annotations__.items() if name not in declared.names
    }
    return call


def _request_of(place: str, names: tuple[str, ...]) -> ForeignScope:
    """The wrapped request that is being handled here.

    Raises:
        FastAPIError: there is none.
    """
    scope, source = current_scope(), source_var.get()
    if scope is not None:
        return scope
    if source is None:
        why = "outside of a request. Serve its application inside wsgibg.wrap()"
    elif isinstance(source, RequestScope):
        why = "by an App's own code. Let the handler or the called function declare Depends()"
    else:
        why = "after its request had ended. Let a background task declare Depends() itself"
    shown = ", ".join(map(repr, names))
    msg = f"{place} has parameters to inject ({shown}) and was called {why}, or pass them."
    raise FastAPIError(msg)


class _ViewCall(Walk):
    """One call of a view: its dependencies, itself, and the exits that belong to it."""

    def __init__(
        self,
        view: View,
        names: tuple[str, ...],
        scope: ForeignScope,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        plan, extra = view.plan_in(scope.owner.injector, names)
        super().__init__(plan, scope, {})
        self.request = scope
        self.view = view
        self.args = args
        self.kwargs = kwargs
        #: The framework's arguments that dependencies ask for, and the view does not take.
        self.extra = extra
        self.handler = plan.handler
        self.lent = plan.asynchronous and not plan.hops and scope.owner.tasks.lends
        self.entered: dict[Scope, list[Exit]] = {"function": [], "request": [], "tasks": []}
        self.before = len(scope.collector().tasks)

    @cached_property
    def beside(self) -> Beside:
        """Where the steps are taken that cannot be taken in the framework's context."""
        return Beside()

    def result(self) -> Any:
        """Call the view, and leave the exits of scope "function"; all of them if it fails."""
        error: BaseException | None = None
        try:
            try:
                result = step(self.run(0))
                error = self._leave("function", None)
            except BaseException as raised:  # noqa: BLE001 (raised below, after the exits)
                error = raised
            if error is None:
                return result
            error = self._leave_all(error)
            self._drop_tasks(error)
            raise error
        finally:
            del error  # a frame that holds its own exception is a cycle

    # -------------------------------------------------------------- reading
    def from_path(self, step: Read) -> Any:
        """What the framework has passed by that name."""
        name = str(step.key)
        passed = self.view.passed(self.args, self.kwargs)
        if name in passed:
            return passed[name]
        msg = f"{step.field.place}: the framework has passed no {name!r} to {self.view.place}."
        raise FastAPIError(msg)

    def refusal(self) -> ViewValidationError:
        """What is raised where data are wrong."""
        environ = self.scope.environ
        path = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"
        context = context_of(self.view.declaring, path)
        return ViewValidationError(self.errors, endpoint_ctx=context)

    # -------------------------------------------------------------- calling
    async def call(self, step: Call) -> Any:
        """Call a dependency or the view; what is awaited, is awaited elsewhere."""
        if step is self.handler:
            given = {name: each for name, each in self.kwargs.items() if name not in self.extra}
            injected = {name: self.slots[slot] for name, slot in step.arguments if name}
            return self._settled(step.func(*self.args, **given, **injected))
        positional = [self.slots[slot] for name, slot in step.arguments if name is None]
        named = {name: self.slots[slot] for name, slot in step.arguments if name is not None}
        value = step.func(*positional, **named)
        if step.kind == "coroutine":
            value = self._settled(value)
        elif step.kind != "call":
            value = self._entered(step, value)
        if step.adopts and isinstance(value, BackgroundTasks):
            self.scope.collector().adopt(value)
        self.slots[step.slot] = value
        return value

    def _settled(self, made: Any) -> Any:
        """What comes of an awaitable; anything else as it is."""
        if not isawaitable(made):
            return made
        if self.lent and type(made) is CoroutineType:
            return lend(made)
        return self.beside.wait(made)

    def _entered(self, step: Call, made: Any) -> Any:
        """Enter a ``yield`` dependency, and note its exit."""
        if step.scope == "tasks":  # its exit may be run by another thread
            made = Stepped(made, Beside(shows=False), lent=self.lent)
        elif step.kind == "async_generator":
            made = Stepped(made, None if self.lent else self.beside, lent=self.lent)
        value = enter(made)
        entry = (made, value)
        self.entered[step.scope].append(entry)
        scope = self.scope
        scope.exits = [] if scope.exits is None else scope.exits  # from here on it has an end
        name = STACKS[step.scope]
        if getattr(scope, name) is None:
            setattr(scope, name, [])
        getattr(scope, name).append(entry)
        ask_always(scope.collector())  # tasks are not to be given what will be closed
        return value

    # -------------------------------------------------------------- leaving
    def _leave(self, scope: Scope, error: BaseException | None) -> BaseException | None:
        """Run the exits of a scope that this call has entered, and nobody has left since."""
        try:
            entries = self.entered[scope]
            while entries:
                entry = entries.pop()
                waiting = getattr(self.scope, STACKS[scope])
                if entry in waiting:
                    waiting.remove(entry)
                    error = leave_sync([entry], error)
            return error
        finally:
            error = None  # a frame that holds its own exception is a cycle

    def _leave_all(self, error: BaseException) -> BaseException:
        """Show an error to every dependency of this call: what is raised in the end."""
        left: BaseException | None = error
        try:
            for scope in self.entered:
                left = self._leave(scope, left)
                if left is None and scope == "function":
                    left = swallowed(error)  # without a response, none may commit
            return left or swallowed(error)
        finally:
            del error, left

    def _drop_tasks(self, error: BaseException) -> None:
        """Drop what was added during a call that failed, as for a handler that fails."""
        self.request.drop(f"{self.view.place} failed ({text_of(error)})", self.before)
