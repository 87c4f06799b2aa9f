"""Whether a task is given something that will be closed before it runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from werkzeug.datastructures import FileStorage

from wsgibg.background import BackgroundTask
from wsgibg.datastructures import FormData, UploadFile
from wsgibg.exceptions import ClosedResourceWarning, TaskRefused

__all__ = ["check_resources"]

_RESOURCE = ("close", "aclose", "__exit__", "__aexit__")


def check_resources(
    task: BackgroundTask,
    closing: Iterable[Any],
    lasting: Iterable[Any],
    form: FormData | None,
    *,
    strict: bool,
) -> None:
    """Warn of an argument that its dependency closes before the task runs.

    Args:
        task: the task that is added.
        closing: the values of ``yield`` dependencies whose exit comes before the tasks.
        lasting: those of scope "tasks", whose exit comes after the first attempts.
        form: the request's, if it was read; its files are closed after the first attempts.
        strict: whether to refuse the task instead.

    Raises:
        TaskRefused: strict; or a task with retries is given a value of scope "tasks", or an
            uploaded file.
    """
    given = (*task.args, *task.kwargs.values())
    for value in closing:
        if _is_given(value, given):
            text = (
                f"{task.name} is given {value!r}, which its dependency closes before the task"
                " runs. Pass an id and open it again in the task, or declare"
                ' Depends(..., scope="tasks").'
            )
            if strict:
                raise TaskRefused(text)
            warnings.warn(text, ClosedResourceWarning, stacklevel=5)
    if task.options is not None and task.options.retries:
        for value in lasting:
            if _is_given(value, given):
                msg = (
                    f"{task.name} has retries and is given {value!r}, which its dependency keeps"
                    " open for first attempts only. Pass an id and open it again in the task."
                )
                raise TaskRefused(msg)
        _check_files(task, given, form)


def _check_files(task: BackgroundTask, given: Iterable[Any], form: FormData | None) -> None:
    """Refuse uploaded files, alone or in a list, whatever they are wrapped in."""
    uploads = () if form is None else form.uploads()
    names = {id(upload.file): upload.filename for upload in uploads}
    values = [*given, *(one for each in given if isinstance(each, list | tuple) for one in each)]
    for value in values:
        if isinstance(value, UploadFile | FileStorage) or id(value) in names:
            name = getattr(value, "filename", None) or names.get(id(value))
            msg = (
                f"{task.name} has retries and is given the uploaded file {name!r}, which is"
                " closed after the first attempts. Save it, and pass the path."
            )
            raise TaskRefused(msg)


def _is_given(value: Any, given: Iterable[Any]) -> bool:
    return any(value is each for each in given) and any(hasattr(value, name) for name in _RESOURCE)
