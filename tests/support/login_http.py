# SPDX-License-Identifier: Apache-2.0
"""Sites that are asked over HTTP, and browsers with a card that log in there."""

import asyncio
import base64
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from support.login_site import Desk
from xca_login.integrations.asgi import Application, Message, Scope
from xca_login.testing.parties import DAY, NOW, Party, holder
from xca_login.testing.tokens import sign

Headers = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What a site answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Browser:
    """A browser of one person: it keeps cookies, and sends the origin of the page that asks.

    Attributes:
        cookies: by name.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: bytes = b"", headers: Headers | None = None) -> Answer:
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if method == "POST":
            sent |= {"Origin": self.origin, "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.origin.partition("://")[2], timeout=60)
        try:
            connection.request(method, path, body, sent | (headers or {}))
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                cookie, _, given = value.partition(";")[0].partition("=")
                self.cookies.pop(cookie, None)
                if "max-age=0" not in value.lower():
                    self.cookies[cookie] = given
        return answer

    def signed(self, card: Party) -> bytes:
        """Begin a login, sign with a card, and return what is to be posted."""
        begun = self.ask("POST", "/login/begin")
        assert begun.status == 200, begun.body
        return posted(sign(card, begun.json["statement"].encode("ascii")))

    def log_in(self, card: Party) -> Answer:
        return self.ask("POST", "/login/finish", self.signed(card))


def posted(token: bytes) -> bytes:
    return json.dumps({"token": base64.b64encode(token).decode("ascii")}).encode("ascii")


@contextmanager
def issuer_of(desk: Desk, folder: Path) -> Iterator[Party]:
    """Publish a CA's list, write the CA into folder/ca, and give a card of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(revoked)))
            self.end_headers()
            self.wfile.write(revoked)

        def log_message(self, *args: object) -> None:
            pass

    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(desk.ca.certificate.subject)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    revoked = builder.sign(desk.ca.key, hashes.SHA256()).public_bytes(Encoding.DER)
    (folder / "ca").mkdir()
    for name, one in (("root", desk.root), ("ca", desk.ca)):
        (folder / "ca" / f"{name}.crt").write_bytes(one.pem)
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        address = x509.UniformResourceIdentifier(f"http://127.0.0.1:{port}/1.crl")
        point = x509.DistributionPoint([address], None, None, None)
        yield holder(desk.ca, more=[(x509.CRLDistributionPoints([point]), False)])


@contextmanager
def serving(server: ThreadingHTTPServer | WSGIServer) -> Iterator[int]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _ManyAtOnce(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def wsgi_site(make_app: Callable[[str], Any]) -> Iterator[str]:
    """Serve a WSGI program; give its origin."""
    server = _ManyAtOnce(("127.0.0.1", 0), _Quiet)
    origin = f"http://127.0.0.1:{server.server_port}"
    server.set_app(make_app(origin))
    with serving(server):
        yield origin


@contextmanager
def asgi_site(make_app: Callable[[str], Any]) -> Iterator[str]:
    """Serve an ASGI program; give its origin."""
    config = uvicorn.Config(
        lambda: None, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    with config.bind_socket() as socket:
        socket.listen()  # what is asked before the server runs waits
        origin = f"http://127.0.0.1:{socket.getsockname()[1]}"
        config.app = make_app(origin)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        try:
            yield origin
        finally:
            server.should_exit = True
            thread.join()


async def ask_asgi(
    app: Application, method: str, path: str, body: bytes = b"", headers: Headers | None = None
) -> Answer:
    """Ask an ASGI program without a server. A path may have a query."""
    start: Message = {}
    content = b""
    requests = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        if not requests:
            await asyncio.Event().wait()  # the client stays
        return requests.pop()

    async def send(message: Message) -> None:
        nonlocal content
        start.update({name: message[name] for name in ("status", "headers") if name in message})
        content += message.get("body", b"")

    path, _, query = path.partition("?")
    sent = {"Host": "127.0.0.1", "Content-Length": str(len(body))} | (headers or {})
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
    }
    await app(scope, receive, send)
    given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], given, content)


def django_app(settings_of: Callable[..., dict[str, Any]], urls: str, origin: str, folder: Path) -> Any:
    """Return a Django project with the settings of an example, and with the admin; once in a process."""
    from django.conf import settings
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    apps = ("admin", "auth", "contenttypes", "messages", "sessions")
    processors = ("auth", "messages")
    own = settings_of(origin, folder, ("127.0.0.1",))
    options = own["DATABASES"]["default"]["OPTIONS"]
    options["init_command"] = (
        "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY"  # nobody waits for the disk
    )
    settings.configure(
        INSTALLED_APPS=[*(f"django.contrib.{app}" for app in apps), "xca_login.integrations.django"],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF=urls,
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        *(f"django.contrib.{one}.context_processors.{one}" for one in processors),
                    ]
                },
            }
        ],
        **own,
    )
    app = get_wsgi_application()
    call_command("migrate", verbosity=0)
    return app
