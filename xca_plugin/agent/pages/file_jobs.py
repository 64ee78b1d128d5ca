# SPDX-License-Identifier: Apache-2.0
"""The pages of the jobs with files: the form, the files' way to the agent, the results.

A page first sends each file by itself (/files/upload), then the form with the PIN. The first file spends the
page's token and gets a workspace, whose id is from then on what only this page knows.
"""

import asyncio
import math
import re
from functools import partial
from typing import BinaryIO, Final
from urllib.parse import unquote, urlencode

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.secret import Secret
from xca_common.web.forms import MalformedForm, read_form
from xca_common.web.language import is_from_elsewhere, language_of, with_language_choice
from xca_plugin import last_try
from xca_plugin.agent.component import site_requests
from xca_plugin.agent.files import execution, parser
from xca_plugin.agent.files.job import Job
from xca_plugin.agent.files.stored_file import Role, StoredFile
from xca_plugin.agent.files.workspace import FILE_BYTES, FILES, Workspace, WorkspaceFullError
from xca_plugin.agent.pages.card_snapshot import CardSnapshot, take_snapshot
from xca_plugin.agent.pages.file_actions import DECRYPT, ENCRYPT, FILE_ACTIONS, SIGN, VERIFY, FileAction
from xca_plugin.agent.pages.pin_pattern import pin_pattern
from xca_plugin.agent.pages.problems import (
    FILE_GONE,
    LED_HERE,
    MALFORMED_FORM,
    STALE_PAGE,
    TOO_MANY_FILES,
    problem_of,
    problem_response,
)
from xca_plugin.agent.pages.rendering import file_size, page
from xca_plugin.agent.process.state import AgentState, endpoint
from xca_plugin.cards import REAL_CARD_WARNING, check_pin_usable

UPLOAD_PATH: Final = "/files/upload"
"""Takes the bytes of one file, and nothing else."""
UPLOAD_TYPE: Final = "application/octet-stream"
"""Their media type. A form of another site cannot send it."""

_RESULT_PATH: Final = "/files/result"
_CHUNK: Final = 1 << 20
_GIVEN: Final = (Role.CONTENT, Role.RECIPIENT, Role.ROOT, Role.INTERMEDIATE)
_BY_PATH: Final = {action.path: action for action in FILE_ACTIONS}
_running: Final[set[asyncio.Task[None]]] = set()


def routes(state: AgentState) -> list[Route]:
    """Return the routes of these pages."""
    return [
        *(Route(action.path, with_language_choice(partial(_show, state, action))) for action in FILE_ACTIONS),
        *(Route(action.path, partial(_start, state, action), methods=["POST"]) for action in FILE_ACTIONS),
        Route(UPLOAD_PATH, endpoint(state, _upload), methods=["POST"]),
        Route("/files/remove", endpoint(state, _remove), methods=["POST"]),
        Route("/files/delete", endpoint(state, _delete), methods=["POST"]),
        Route(_RESULT_PATH, with_language_choice(endpoint(state, _result))),
        Route("/files/file", endpoint(state, _file)),
        Route("/files/pages", endpoint(state, _pages)),
        Route("/files/picture", endpoint(state, _picture)),
    ]


async def _show(state: AgentState, action: FileAction, request: Request) -> Response:
    """Return the form of a job, with the files that were chosen already; not to who was led here."""
    if action.asks_pin and is_from_elsewhere(request):
        return problem_response(state, request, LED_HERE)
    query = request.query_params
    workspace = state.workspaces.get(query.get("job"), action.path)
    if workspace is not None and workspace.is_busy:
        return _redirect(_RESULT_PATH, job=workspace.id)
    snapshot = await take_snapshot(state, query.get("card"))
    return page(
        request,
        f"{action.path.strip('/').replace('files/', 'file_')}.html",
        action=action,
        workspace=workspace,
        role=Role,
        snapshot=snapshot,
        obstacle=_obstacle(snapshot),
        root=await _root(state, snapshot) if action is VERIFY else None,
        stale="stale" in query,
        token=state.form_tokens.issue(action.path),
        upload_token=state.form_tokens.issue(_upload_purpose(action)),
        pin_pattern=pin_pattern(snapshot.card) if snapshot.card else None,
        last_try=last_try,
        real_card_warning=REAL_CARD_WARNING,
        file_bytes=FILE_BYTES,
        files_max=FILES,
    )


def _obstacle(snapshot: CardSnapshot) -> XcaError | None:
    """Return why the PIN of the page's card cannot be used, None if it can."""
    if snapshot.card is None:
        return None
    try:
        check_pin_usable(snapshot.card)
    except XcaError as error:
        return error
    return None


async def _root(state: AgentState, snapshot: CardSnapshot) -> object:
    """Return the root certificate on the page's card, if there is one."""
    card = snapshot.card
    if card is None:
        return None
    try:
        return await state.card_worker.run(lambda cards: execution.root_of(cards, card))
    except XcaError:
        return None  # the page shows what is wrong with the card, if the person needs it


# --- the files


async def _upload(state: AgentState, request: Request) -> Response:
    """Take one file, and return it as JSON."""
    query = request.query_params
    action = _BY_PATH.get(query.get("page", ""))
    role = query.get("role")
    if action is None or role not in _GIVEN:
        return problem_response(state, request, MALFORMED_FORM)
    workspace = state.workspaces.get(query.get("job"), action.path)
    try:
        if workspace is None:
            if not state.form_tokens.spend(_upload_purpose(action), request.headers.get("x-token", "")):
                return problem_response(state, request, STALE_PAGE)
            workspace = state.workspaces.create(action.path)
        if workspace.is_busy:
            return problem_response(state, request, STALE_PAGE)
        file = workspace.add(unquote(request.headers.get("x-name", "")), Role(role))
    except WorkspaceFullError:
        return problem_response(state, request, TOO_MANY_FILES)
    except XcaError as error:
        return problem_response(state, request, problem_of(error))
    try:
        with file.writing() as target:
            await _store(request, target)
    except BaseException as error:
        workspace.remove(file)
        if isinstance(error, XcaError):
            return problem_response(state, request, problem_of(error))
        raise
    said = {
        "job": workspace.id,
        "id": file.id,
        "name": file.name,
        "size": file_size(file.size),
        "pdf": file.is_pdf,
    }
    return JSONResponse(said, 201)


async def _store(request: Request, target: BinaryIO) -> None:
    """Write a body to the disk as it comes."""
    waiting = bytearray()
    async for part in request.stream():
        waiting += part
        if len(waiting) >= _CHUNK:
            await asyncio.to_thread(target.write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(target.write, bytes(waiting))


async def _remove(state: AgentState, request: Request) -> Response:
    """Delete one file."""
    try:
        fields = await read_form(request)
    except MalformedForm:
        return problem_response(state, request, MALFORMED_FORM)
    workspace = state.workspaces.get(fields.get("job"))
    file = workspace.get(fields.get("file")) if workspace else None
    if workspace is None or file is None or workspace.is_busy:
        return problem_response(state, request, FILE_GONE)
    workspace.remove(file)
    return Response(status_code=204)


async def _delete(state: AgentState, request: Request) -> Response:
    """Delete a workspace with all its files."""
    try:
        fields = await read_form(request)
    except MalformedForm:
        return problem_response(state, request, MALFORMED_FORM)
    workspace = state.workspaces.get(fields.get("job"))
    if workspace is None:
        return RedirectResponse("/", 303)
    if workspace.is_busy:
        return _redirect(_RESULT_PATH, job=workspace.id)
    state.workspaces.drop(workspace)
    return RedirectResponse(workspace.purpose, 303)


async def _file(state: AgentState, request: Request) -> Response:
    """Return a result as a file to be saved."""
    workspace = state.workspaces.get(request.query_params.get("job"))
    file = workspace.get(request.query_params.get("file")) if workspace else None
    if file is None or file.role is not Role.RESULT or not _is_told(workspace, file):
        return problem_response(state, request, FILE_GONE)
    return FileResponse(file.path, media_type=UPLOAD_TYPE, filename=file.name)


async def _pages(state: AgentState, request: Request) -> Response:
    """Return the sizes of a PDF's pages as JSON: width and height of each in millimetres."""
    workspace = state.workspaces.get(request.query_params.get("job"))
    file = workspace.get(request.query_params.get("file")) if workspace else None
    if file is None or not file.is_pdf:
        return problem_response(state, request, FILE_GONE)
    try:
        return JSONResponse(await parser.ask("pages", file.name, file=file.as_json()))
    except parser.Failed as error:
        message, step = error.told[language_of(request)]
        return JSONResponse({"title": message, "detail": step}, 422)
    except XcaError as error:
        return problem_response(state, request, problem_of(error))


async def _picture(state: AgentState, request: Request) -> Response:
    """Return a page of a PDF as a picture."""
    workspace = state.workspaces.get(request.query_params.get("job"))
    file = workspace.get(request.query_params.get("file")) if workspace else None
    number = request.query_params.get("page", "")
    if workspace is None or file is None or not file.is_pdf or not re.fullmatch("[1-9][0-9]{0,3}", number):
        return problem_response(state, request, FILE_GONE)
    target = workspace.add("picture", Role.RESULT)
    try:
        await parser.ask(
            "picture", file.name, file=file.as_json(), number=int(number), target=target.as_json()
        )
        return Response(target.path.read_bytes(), media_type="image/png")
    except (parser.Failed, XcaError):
        return problem_response(state, request, FILE_GONE)
    finally:
        workspace.remove(target)


def _is_told(workspace: Workspace | None, file: StoredFile) -> bool:
    """Tell whether a job has reported a file. A file that it still writes is not handed out."""
    job = workspace.job if workspace else None
    return job is not None and any(result.output == file for result in job.results)


# --- the job


async def _start(state: AgentState, action: FileAction, request: Request) -> Response:
    """Start the form's job once, and redirect the browser to its results."""
    try:
        fields = await read_form(request)
    except MalformedForm:
        return problem_response(state, request, MALFORMED_FORM)
    pin = Secret(fields.pop("secret", ""))
    workspace = state.workspaces.get(fields.get("job"), action.path)
    is_fresh = state.form_tokens.spend(action.path, fields.get("token", ""))
    if (
        workspace is None
        or workspace.is_busy
        or not is_fresh
        or _is_short_of_files(workspace, action, fields)
    ):
        pin.wipe()
        return _redirect(action.path, job=fields.get("job", ""), card=fields.get("card", ""), stale="yes")
    in_pdf = fields.get("form") == "pdf"
    try:
        stamp = _stamp(fields) if in_pdf and fields.get("stamp") == "yes" else None
    except ValueError:
        pin.wipe()
        return problem_response(state, request, MALFORMED_FORM)
    for file in workspace.files(Role.RESULT):
        workspace.remove(file)
    job = workspace.job = Job(len(workspace.files(Role.CONTENT)))
    login = execution.PinEntry(
        number=fields.get("card", ""),
        pin=pin,
        agreed=fields.get("agreed") == "yes",
        last_try=last_try.confirms(fields.get("last_try", "")),
    )
    if action is SIGN:
        work = partial(execution.sign, state.card_worker, workspace, job, login, in_pdf=in_pdf, stamp=stamp)
    elif action is DECRYPT:
        work = partial(execution.decrypt, state.card_worker, workspace, job, login)
    elif action is ENCRYPT:
        work = partial(execution.encrypt, workspace, job)
    else:
        pairs = execution.paired(workspace.files(Role.CONTENT))
        job.total = len(pairs)
        work = partial(
            execution.verify,
            state.card_worker,
            workspace,
            job,
            card_number=fields.get("card") if fields.get("trust") == "card" else None,
            fetch=fields.get("fetch") == "yes",
            language=language_of(request),
        )

    async def run() -> None:
        await execution.run(job, work)
        await site_requests.record(request, None, action.path, job.error)

    task = asyncio.create_task(run())
    _running.add(task)
    task.add_done_callback(_running.discard)
    return _redirect(_RESULT_PATH, job=workspace.id)


def _is_short_of_files(workspace: Workspace, action: FileAction, fields: dict[str, str]) -> bool:
    """Tell whether a file is missing without which the job makes no sense, as its page says too."""
    needed = [Role.CONTENT]
    if action is ENCRYPT:
        needed.append(Role.RECIPIENT)
    if action is VERIFY and fields.get("trust") != "card":
        needed.append(Role.ROOT)
    return not all(workspace.files(role) for role in needed)


def _stamp(fields: dict[str, str]) -> execution.Stamp:
    """Return where the form wants the stamp.

    Raises:
        ValueError: it does not say so in numbers.
    """
    page = int(fields.get("page", ""))
    left, top, width, height = (float(fields.get(name, "")) for name in ("left", "top", "width", "height"))
    if not all(math.isfinite(number) for number in (left, top, width, height)):
        raise ValueError("no finite number")
    return execution.Stamp(page, left, top, width, height)


async def _result(state: AgentState, request: Request) -> Response:
    """Show how far a job is, and what came of each file."""
    workspace = state.workspaces.get(request.query_params.get("job"))
    if workspace is None or workspace.job is None:
        return problem_response(state, request, FILE_GONE)
    return page(
        request,
        "file_result.html",
        action=_BY_PATH[workspace.purpose],
        workspace=workspace,
        job=workspace.job,
        version=workspace.job.changes.version,
    )


def _upload_purpose(action: FileAction) -> str:
    return f"{UPLOAD_PATH} {action.path}"


def _redirect(path: str, **query: str) -> Response:
    return RedirectResponse(f"{path}?{urlencode(query)}", 303)
