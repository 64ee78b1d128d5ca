# SPDX-License-Identifier: Apache-2.0
"""xcactl tools: real tools are registered, see the card, and are unregistered to the byte."""

import os
import re
import shutil
import socket
import sqlite3
import ssl
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pexpect
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from pkcs11_shim import module_path
from support.cli.json_schemas import check
from support.cli.xcactl import PIN, SECRETS, XCACTL, Result, Workspace
from support.tools import provider
from xca_common.errors import FileProblem
from xca_plugin import errors
from xca_plugin.terminal.exit_statuses import EXIT_STATUSES
from xca_plugin.tools import Registration, Tool, all_tools, make, xca
from xca_plugin.tools.managed_block import insert

Tree = dict[str, tuple[int, bytes | str | None]]

# For root, p11-kit reads the system's folder only, so its tests run as another user.
ORDINARY = ("unshare", "--user", "--map-user=65534", "--map-group=65534") if os.geteuid() == 0 else ()
WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
# A copy of /etc is mounted in place of the real one.
ROOT = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", 'mount --bind "$0" /etc; exec "$@"')
# One folder is also mounted at another path.
ADD_FOLDER = 'mount -t overlay -o "lowerdir=$1:$0" none "$0"; shift; exec "$@"'


def tree(folder: Path) -> Tree:
    """The modes, links and contents of all files below a folder."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        link = str(path.readlink()) if path.is_symlink() else None
        content = link or (path.read_bytes() if path.is_file() else None)
        found[str(path.relative_to(folder))] = (stat.S_IMODE(mode), content)
    return found


def permitted(prefix: tuple[str, ...], *arguments: str) -> None:
    """Skip the test if the kernel allows no user namespaces."""
    done = subprocess.run([*prefix, *arguments, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(done.stderr)


@dataclass(frozen=True)
class Person:
    """A user with a card and a home of their own."""

    workspace: Workspace
    home: Path
    prefix: tuple[str, ...] = ()

    def run(self, *arguments: str, **variables: str) -> Result:
        done = subprocess.run(
            [*self.prefix, sys.executable, *XCACTL, "tools", *arguments],
            # The tools' caches go elsewhere.
            env={
                **self.workspace.environment,
                "HOME": str(self.home),
                "XDG_CACHE_HOME": "/dev/null",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.home,
            timeout=120,
        )
        assert not any(secret in done.stdout + done.stderr for secret in SECRETS)
        return Result(done.returncode, done.stdout, done.stderr)

    def tools(self) -> dict[str, Any]:
        """The JSON of xcactl tools list."""
        listed = self.run("list", "--json")
        check(listed.json, "tools-list")
        return {tool["name"]: tool for tool in listed.json["tools"]}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def person(active: Workspace, home: Path) -> Person:
    return Person(active, home)


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this process an empty home."""
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XCA_PKCS11_CONF", "OPENSSL_CONF"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(home)
    return home


def named(name: str) -> Tool:
    (tool,) = (tool for tool in all_tools() if tool.name == name)
    return tool


def register(name: str) -> None:
    make(named(name).plan_register())


def unregister(name: str) -> None:
    make(named(name).plan_unregister())


def nss_database(folder: Path) -> Path:
    """Make an NSS database in which another module is registered."""
    folder.mkdir(parents=True)
    command = ("-d", f"sql:{folder}", "--empty-password")
    subprocess.run(["certutil", "-N", *command], check=True, stdin=subprocess.DEVNULL)
    with (folder / "pkcs11.txt").open("a") as file:
        file.write("library=/usr/lib/other.so\nname=Other one\n\n")
    return folder


def firefox_profile(home: Path) -> Path:
    folder = nss_database(home / ".mozilla" / "firefox" / "abc.default")
    (folder.parent / "profiles.ini").write_text("[Profile0]\nName=default\nIsRelative=1\nPath=abc.default\n")
    return folder


# --- register, use, unregister


def test_tools_registered_see_the_card_and_all_is_undone(person: Person) -> None:
    permitted(ORDINARY)
    person = Person(person.workspace, person.home, ORDINARY)
    firefox_profile(person.home)
    nss_database(person.home / ".pki" / "nssdb")
    configuration = person.home / ".ssh" / "config"
    configuration.parent.mkdir(mode=0o700)
    configuration.write_bytes(b"Host example\r\n  User me")
    configuration.chmod(0o640)
    before = tree(person.home)

    here = {name for name, tool in person.tools().items() if tool["installed"]}
    assert here >= {"p11-kit", "firefox", "chromium", "openssh", "pyhanko"}
    assert "pyhanko:\n  First: xcactl tools register pyhanko\n" in person.run("list").out
    shown = person.run("register", "--all", "--dry-run")
    assert shown.status == 0, shown.err
    assert shown.out.count("\n+# >>> xcactl tools: ") == len(here)
    assert shown.err.count(": nothing was changed (--dry-run)\n") == len(here)
    assert "User me" not in shown.out  # lines of other programs may hold secrets
    assert tree(person.home) == before

    made = person.run("register", "--all")
    assert made.status == 0, made.err
    assert made.out.startswith(shown.out)
    assert made.err.count(": registered\n") == len(here)
    after = tree(person.home)
    assert after != before
    again = person.run("register", "--all")
    assert again.err.count(": nothing to change\n") == len(here)
    assert tree(person.home) == after

    seen = person.run("check", "--json")
    check(seen.json, "tools-check")
    assert seen.json["looks"] == [
        {"name": tool.name, "works": True, "detail": None} for tool in all_tools() if tool.name in here
    ]
    assert seen.status == 0
    assert person.workspace.card()["pin_tries_left"] == 3
    tried = person.workspace.run("events", "--json").json["events"]
    assert [event["event"] for event in tried].count("verify-pin") == 1  # that of the activation

    assert person.run("unregister", "--all").status == 0
    assert tree(person.home) == before


def test_register_by_root_is_for_the_system(active: Workspace, home: Path, tmp_path: Path) -> None:
    system = tmp_path / "etc"
    subprocess.run(["cp", "-r", "/etc", system], check=False, capture_output=True)
    shutil.rmtree(system / "pkcs11", ignore_errors=True)
    permitted(ROOT, str(system))
    root = Person(active, home, (*ROOT, str(system)))
    assert root.run("register", "p11-kit").status == 0
    file = system / "pkcs11" / "modules" / "xca.module"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert root.run("check", "p11-kit").status == 0
    assert root.run("unregister", "p11-kit").status == 0
    assert not (system / "pkcs11").exists()
    assert tree(home) == {}


def test_register_by_root_under_a_strict_umask_makes_folders_for_everybody(
    active: Workspace, home: Path, tmp_path: Path
) -> None:
    system = tmp_path / "etc"
    subprocess.run(["cp", "-r", "/etc", system], check=False, capture_output=True)
    shutil.rmtree(system / "pkcs11", ignore_errors=True)
    permitted(ROOT, str(system))
    root = Person(active, home, ("sh", "-c", 'umask 077; exec "$@"', "sh", *ROOT, str(system)))
    assert root.run("register", "p11-kit").status == 0
    for folder in (system / "pkcs11", system / "pkcs11" / "modules"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((system / "pkcs11" / "modules" / "xca.module").stat().st_mode) == 0o644


def test_each_tool_through_the_command_is_registered_or_refused(person: Person) -> None:
    """Firefox refuses without a profile; every other tool is registered."""
    before = tree(person.home)
    refused = {"firefox": errors.NoUsableProfile}
    for name, tool in person.tools().items():
        result = person.run("register", name)
        if not tool["installed"]:
            assert result.status == EXIT_STATUSES[errors.ToolNotInstalled]
        elif name in refused:
            assert result.status == EXIT_STATUSES[refused[name]]
            assert f"{name}:\nError: " in result.err
        else:
            assert (result.status, "nothing to change" in result.err) == (0, False), result.err
            assert person.run("unregister", name).status == 0
        assert tree(person.home) == before


# --- the commands that are shown


@pytest.fixture
def server(active: Workspace, home: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server that asks for a client certificate, and the subjects that it got."""
    key, certificate = home / "key.pem", home / "server.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject)
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    for issuer in sorted((active.path / "pki").glob("*.pem")):
        if b"BEGIN CERTIFICATE" in issuer.read_bytes():
            context.load_verify_locations(issuer)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    seen: list[str] = []

    def serve(listening: socket.socket) -> None:
        with listening.accept()[0] as raw, context.wrap_socket(raw, server_side=True) as connection:
            connection.recv(4096)
            peer = connection.getpeercert(binary_form=True)
            seen.append(x509.load_der_x509_certificate(peer or b"").subject.rfc4514_string())
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        thread = Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield f"https://localhost:{listening.getsockname()[1]}/", seen
        thread.join(30)


def use(person: Person, name: str, **filled: str) -> str:
    """Register a tool, run the command that the list shows, type the PIN, and return the output."""
    tool = person.tools()[name]
    if not tool["installed"]:
        pytest.skip(tool["missing"])
    assert person.run("register", name).status == 0
    command = tool["command"]
    for word, value in {"NUMBER": person.workspace.number, **filled}.items():
        command = command.replace(word, value)
    # The command itself holds the variables that lead to the card.
    variables = {
        key: value for key, value in person.workspace.environment.items() if not key.startswith("XCA_")
    }
    environment = {**variables, "HOME": str(person.home)}
    said = ""
    line: list[str] = [*person.prefix, "sh", "-c", command]
    with pexpect.spawn(line[0], line[1:], env=environment, cwd=str(person.home), timeout=60) as child:
        while child.expect([rb"(?i)(pin|password|pass phrase)[^\n]*: *$", pexpect.EOF]) == 0:
            said += (child.before or b"").decode("utf-8", "replace")
            child.waitnoecho()
            child.sendline(PIN)
        said += (child.before or b"").decode("utf-8", "replace")
    assert not any(secret in said for secret in SECRETS)
    return said


def test_gnutls_lists_the_keys_with_the_command_shown(person: Person) -> None:
    permitted(ORDINARY)
    said = use(Person(person.workspace, person.home, ORDINARY), "p11-kit")
    assert "Type: Private key" in said
    assert "Label: cert1" in said


def with_provider(person: Person) -> Person:
    """Put pkcs11-provider among OpenSSL's modules, as its package does."""
    (installed,) = re.findall(
        r'MODULESDIR: "(.*)"', subprocess.check_output(["openssl", "version", "-m"], text=True)
    )
    folder = str(provider.modules())
    if folder == installed:
        return person
    enter = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", ADD_FOLDER, installed, folder)
    permitted(enter)
    return Person(person.workspace, person.home, enter)


@pytest.mark.parametrize("name", ["openssl-engine", "openssl-provider"])
def test_openssl_signs_with_the_command_shown(person: Person, name: str) -> None:
    if name == "openssl-provider":
        person = with_provider(person)
    (person.home / "FILE").write_bytes(b"contract")
    said = use(person, name)
    pem = person.workspace.run("cert", "export", "cert1", "--format", "pem").out
    key: Any = x509.load_pem_x509_certificate(pem.encode()).public_key()
    signature = (person.home / "FILE.sig").read_bytes()
    assert signature, said
    key.verify(signature, b"contract", padding.PKCS1v15(), SHA256())


def test_java_lists_the_keys_with_the_command_shown(person: Person) -> None:
    assert "cert1, PrivateKeyEntry" in use(person, "java")


def test_pyhanko_signs_with_the_command_shown(person: Person) -> None:
    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter

    writer = PdfFileWriter()
    contents = writer.add_object(generic.StreamObject(stream_data=b"q Q"))
    box = generic.ArrayObject(map(generic.NumberObject, (0, 0, 400, 300)))
    writer.insert_page(PageObject(contents=contents, media_box=box))
    with (person.home / "IN.pdf").open("wb") as file:
        writer.write(file)
    said = use(person, "pyhanko")
    assert b"/ByteRange" in (person.home / "OUT.pdf").read_bytes(), said


def test_pyhanko_that_the_shell_does_not_find_is_named_with_its_path(
    at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(at_home))
    tool, program = named("pyhanko"), Path(sys.executable).with_name("pyhanko")
    for said in (tool.command(), tool.remarks()[-1]()):
        assert f"{program} " in said


def test_curl_shows_the_certificate_with_the_command_shown(
    person: Person, server: tuple[str, list[str]]
) -> None:
    url, seen = server
    said = use(person, "curl", URL=f"--silent --show-error --cacert server.pem {url}")
    assert len(seen) == 1, said
    assert "國立臺灣大學" in seen[0]


# --- lines of other programs


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"Host example\n  User me\n",
        b"Host example\n  User me",
        b"Host example\r\n  User me\r\n",
        b"Host example\r\n  User me",
        b"Host example\n  User me\r",
        b"Host other\r\nHost example\r",
        b"Host example\r  User me\r",
        "# 我的設定\nHost example\n\tPKCS11Provider none\n\n\n".encode(),
    ],
)
def test_unregister_restores_an_ssh_configuration_to_the_byte(at_home: Path, content: bytes) -> None:
    file = at_home / "dotfiles" / "ssh"
    file.parent.mkdir()
    file.write_bytes(content)
    file.chmod(0o644)
    (at_home / ".ssh").mkdir(mode=0o700)
    (at_home / ".ssh" / "config").symlink_to(file)
    before = tree(at_home)
    register("openssh")
    for host, theirs in (("other", False), ("example", b"PKCS11Provider none" in content)):
        command = ["ssh", "-G", "-F", str(file), host]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert (f"pkcs11provider {module_path()}\n" in said) != theirs
    assert file.read_bytes().startswith(content)
    assert (b"\r\n" in content) == (b"Match final all\r\n" in file.read_bytes())
    unregister("openssh")
    assert tree(at_home) == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# nothing\n",
        "logging:\n  root-level: ERROR",
        "pkcs11-setups:\n    other:\n        module-path: /other.so\n        cert-label: x\nlogging: {}\n",
        "pkcs11-setups:   # 我的卡片\n\n  # the first\n  other: {module-path: /other.so, cert-label: x}",
        "pkcs11-setups:\nlogging: {}\n",
        "logging: {}\r\npkcs11-setups:\r\n",
        "logging: {}\npkcs11-setups:",
        "---\nstamp-styles:\n  a: |\n    text\n\n",
        "logging: {}\r",
        "logging: {}\rpkcs11-setups:\r  other: {module-path: /other.so, cert-label: x}\r",
        "pkcs11-setups:\r",
        "a: x\u2028b: {}\npkcs11-setups:\n  other: {module-path: /other.so, cert-label: x}\n",
    ],
)
def test_unregister_restores_a_pyhanko_configuration_to_the_byte(at_home: Path, content: str) -> None:
    file = at_home / "pyhanko.yml"
    file.write_bytes(content.encode())
    before = tree(at_home)
    theirs = yaml.safe_load(content) or {}
    register("pyhanko")
    after = yaml.safe_load(file.read_bytes())
    ours = after["pkcs11-setups"].pop("xca")
    assert ours["module-path"] == str(module_path())
    assert after == {**theirs, "pkcs11-setups": theirs.get("pkcs11-setups") or {}}
    assert named("pyhanko").registered()
    unregister("pyhanko")
    assert tree(at_home) == before


ACCESS_LIST = struct.pack("<I", 2) + b"".join(  # acl(5): user nobody may read, the group and others may not
    struct.pack("<HHI", tag, rights, who)
    for tag, rights, who in (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 65534),
        (0x04, 0, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
)


def attributes(file: Path) -> dict[str, bytes]:
    return {name: os.getxattr(file, name) for name in os.listxattr(file)}


def with_attributes(file: Path, **values: bytes) -> None:
    """Give a file extended attributes, or skip the test where the file system has none."""
    for name, value in values.items():
        try:
            os.setxattr(file, name.replace("__", "."), value)
        except OSError as error:
            pytest.skip(str(error))


def test_register_keeps_the_access_list_and_attributes_of_a_file(at_home: Path) -> None:
    file = at_home / ".ssh" / "config"
    file.parent.mkdir()
    file.write_bytes(b"Host a\n")
    with_attributes(file, system__posix_acl_access=ACCESS_LIST, user__mine=b"1")
    before = attributes(file), stat.S_IMODE(file.stat().st_mode)
    register("openssh")
    assert (attributes(file), stat.S_IMODE(file.stat().st_mode)) == before
    unregister("openssh")
    assert (attributes(file), stat.S_IMODE(file.stat().st_mode)) == before


def test_register_gives_nobody_the_rights_of_a_folders_default_list(at_home: Path) -> None:
    file = at_home / ".ssh" / "config"
    file.parent.mkdir()
    file.write_bytes(b"Host a\n")
    file.chmod(0o640)
    with_attributes(file.parent, system__posix_acl_default=ACCESS_LIST)
    register("openssh")
    assert "system.posix_acl_access" not in attributes(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_register_in_a_file_with_another_name_is_refused(at_home: Path) -> None:
    file = at_home / ".ssh" / "config"
    file.parent.mkdir()
    file.write_bytes(b"Host a\n")
    other = at_home / "dotfiles"
    other.hardlink_to(file)
    with pytest.raises(errors.NotEditable, match="hard links"):
        register("openssh")
    assert other.samefile(file)
    other.unlink()
    register("openssh")
    other.hardlink_to(file)
    with pytest.raises(errors.NotEditable, match="hard links"):
        unregister("openssh")
    assert other.samefile(file)


def test_register_with_two_names_for_one_profile_changes_it_once(at_home: Path) -> None:
    profile = firefox_profile(at_home)
    (profile.parent / "link").symlink_to(profile.name)
    with (profile.parent / "profiles.ini").open("a") as file:
        file.write("[Profile1]\nName=link\nIsRelative=1\nPath=link\n")
    before = tree(at_home)
    register("firefox")
    assert named("firefox").registered()
    assert (profile / "pkcs11.txt").read_bytes().count(b"# >>> xcactl tools: firefox") == 1
    unregister("firefox")
    assert tree(at_home) == before


def test_host_added_later_chooses_another_module(at_home: Path) -> None:
    register("openssh")
    file = at_home / ".ssh" / "config"
    with file.open("a") as configuration:
        configuration.write("Host later\n  PKCS11Provider /other.so\nHost never\n  PKCS11Provider none\n")
    for host, provider_of_it in (("later", "/other.so"), ("never", None), ("another", str(module_path()))):
        command = ["ssh", "-G", "-F", str(file), host]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert re.findall(r"^pkcs11provider (.*)$", said, re.MULTILINE) == [
            *([provider_of_it] if provider_of_it else [])
        ]


def test_register_that_would_change_another_hosts_settings_is_refused(at_home: Path) -> None:
    file = at_home / ".ssh" / "config"
    file.parent.mkdir()
    file.write_text("Host short\n  HostName long.example\nHost *.example\n  User somebody\n")
    with pytest.raises(errors.NotEditable, match="short"):
        register("openssh")
    file.write_text("Host short\n  HostName long.example\nHost other\n  User somebody\n")
    register("openssh")


# --- others who change a file meanwhile


def rewrite(file: Path) -> None:
    """Edit a file as editors do: write a new file and rename it."""
    other = file.with_name("other")
    other.write_bytes(file.read_bytes() + b"Host theirs\n")
    other.replace(file)


def append(file: Path) -> None:
    """Edit a file in its place."""
    with file.open("ab") as open_file:
        open_file.write(b"Host theirs\n")


@pytest.mark.parametrize("edit", [rewrite, append])
@pytest.mark.parametrize("change", [register, unregister])
def test_edit_during_the_write_is_not_lost(
    at_home: Path, monkeypatch: pytest.MonkeyPatch, edit: Any, change: Any
) -> None:
    file = at_home / ".ssh" / "config"
    file.parent.mkdir()
    file.write_bytes(b"Host a\n")
    if change is unregister:
        register("openssh")
    editor = Thread(target=edit, args=(file,))
    written = os.fsync

    def fsync(descriptor: int) -> None:
        """The new file is written now, and not yet in its place."""
        written(descriptor)
        if editor.ident is None:
            editor.start()
            editor.join(0.2)  # an edit in place waits for the end of the change

    monkeypatch.setattr(os, "fsync", fsync)
    with suppress(FileProblem):
        change("openssh")
    editor.join(10)
    assert b"Host theirs\n" in file.read_bytes()
    assert sorted(path.name for path in file.parent.iterdir()) == ["config"]


def test_file_that_another_program_writes_is_not_replaced(at_home: Path) -> None:
    file = at_home / ".ssh" / "config"
    file.parent.mkdir()
    file.write_bytes(b"Host a\n")
    with file.open("ab") as theirs:
        with pytest.raises(FileProblem, match="open for writing"):
            register("openssh")
        theirs.write(b"Host theirs\n")
    assert file.read_bytes() == b"Host a\nHost theirs\n"


def test_lines_appended_during_many_changes_are_all_there(at_home: Path) -> None:
    file = at_home / ".ssh" / "config"
    file.parent.mkdir()
    file.write_bytes(b"Host a\n")
    count = 400
    script = 'i=0; while [ $i -lt "$2" ]; do echo "# theirs $i" >> "$1"; i=$((i + 1)); done'
    with subprocess.Popen(["sh", "-c", script, "sh", str(file), str(count)]) as editor:
        while editor.poll() is None:
            for change in (register, unregister):
                with suppress(FileProblem, errors.NotEditable):
                    change("openssh")
    lines = file.read_text().splitlines()
    assert [line for line in lines if line.startswith("# theirs")] == [f"# theirs {i}" for i in range(count)]


def test_unregister_of_the_last_tool_removes_the_folders_made_for_it(at_home: Path) -> None:
    for first, last in (("java", "pyhanko"), ("pyhanko", "java")):
        register("java")
        register("pyhanko")
        unregister(first)
        assert named(last).registered()
        unregister(last)
        assert tree(at_home) == {}


def test_unregister_keeps_what_others_added_since(at_home: Path) -> None:
    register("openssh")
    file = at_home / ".ssh" / "config"
    with file.open("a") as configuration:
        configuration.write("Host later\n")
    unregister("openssh")
    assert file.read_text() == "Host later\n"


def test_register_and_modutil_keep_each_others_modules(at_home: Path) -> None:
    database = nss_database(at_home / ".pki" / "nssdb")
    before = (database / "pkcs11.txt").read_bytes()
    register("chromium")
    command = ("modutil", "-dbdir", f"sql:{database}", "-force")
    library = next(Path("/usr/lib").rglob("opensc-pkcs11.so"))
    for change in (["-add", "Later", "-libfile", library], ["-delete", "Later"]):
        subprocess.run([*command, *change], check=True, capture_output=True, stdin=subprocess.DEVNULL)
        assert named("chromium").registered()
    unregister("chromium")
    assert (database / "pkcs11.txt").read_bytes() == before


def test_register_after_the_module_moved_corrects_the_lines_in_place(at_home: Path) -> None:
    file = at_home / ".ssh" / "config"
    file.parent.mkdir()
    old = insert(b"Host a\n", 7, "openssh", ["Match final all", '    PKCS11Provider "/gone.so"'], 0)
    file.write_bytes(old + b"Host later\n")
    assert named("openssh").state() is Registration.OUTDATED
    register("openssh")
    assert file.read_bytes() == old.replace(b"/gone.so", os.fsencode(module_path())).replace(
        re.findall(rb"[0-9a-f]{16}$", old, re.MULTILINE)[0],
        re.findall(rb"[0-9a-f]{16}$", file.read_bytes(), re.MULTILINE)[0],
    ) + (b"Host later\n")
    unregister("openssh")
    assert file.read_bytes() == b"Host a\nHost later\n"


def test_lines_of_another_installation_are_kept_until_they_are_taken_over(person: Person) -> None:
    permitted(ORDINARY)
    person = Person(person.workspace, person.home, ORDINARY)
    other = person.home / "other" / "xca-pkcs11.so"
    file = person.home / ".config" / "pkcs11" / "modules" / "xca.module"
    file.parent.mkdir(parents=True)
    other.parent.mkdir()
    other.touch()
    kept = insert(b"", 0, "p11-kit", [f"module: {other}"], 1)
    file.write_bytes(kept)
    assert person.tools()["p11-kit"]["state"] == "other-installation"
    for command in ("register", "unregister"):
        refused = person.run(command, "p11-kit")
        assert refused.status == 91
        assert str(other) in refused.err
        assert "xcactl tools register p11-kit --take-over" in refused.err
    everything = person.run("unregister", "--all")
    assert everything.status == 0
    assert "another installation" in everything.err
    assert file.read_bytes() == kept
    assert person.run("register", "p11-kit", "--take-over").status == 0
    assert f"module: {module_path()}" in file.read_text()
    assert person.run("unregister", "p11-kit").status == 0
    assert not file.exists()


# --- changes that are refused


def edited(home: Path) -> None:
    register("openssh")
    file = home / ".ssh" / "config"
    file.write_text(file.read_text().replace("Match final all", "Match host example"))


def half(home: Path) -> None:
    register("openssh")
    file = home / ".ssh" / "config"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("spoil", [edited, half])
def test_lines_changed_by_hand_are_left_alone(at_home: Path, spoil: Any) -> None:
    spoil(at_home)
    before = tree(at_home)
    assert named("openssh").state() is Registration.EDITED
    for plan in (Tool.plan_register, Tool.plan_unregister):
        with pytest.raises(errors.EditedByHand) as raised:
            plan(named("openssh"))
        assert str(at_home / ".ssh" / "config") in str(raised.value)
    assert tree(at_home) == before


@pytest.mark.parametrize(
    ("name", "file", "content", "says"),
    [
        ("openssh", ".ssh/config", b"NoSuchOption yes\n", "safely: line 1: Bad"),
        ("openssh", ".ssh/config", b"\xff\xfeH\0o\0s\0t\0", "text file"),
        ("pyhanko", "pyhanko.yml", f"a:\n  user-pin: {PIN}: x\n".encode(), "line 2"),
        ("pyhanko", "pyhanko.yml", b"logging: \xff\n", "UTF-8"),
        ("pyhanko", "pyhanko.yml", b"- a\n- b\n", "pkcs11-setups"),
        ("pyhanko", "pyhanko.yml", b"{logging: {}}\n", "pkcs11-setups"),
        ("pyhanko", "pyhanko.yml", b"pkcs11-setups: {a: {module-path: /a.so}}\n", "pkcs11-setups"),
        ("pyhanko", "pyhanko.yml", b"pkcs11-setups:\n  xca:\n    module-path: /mine.so\n", "pkcs11-setups"),
        ("pyhanko", "pyhanko.yml", b"a: !mine 1\n", "pkcs11-setups"),
        ("java", ".config/xca/java.cfg", b"name = mine\n", "another program made it"),
        ("firefox", ".mozilla/firefox/profiles.ini", b"Path=a\n", "profiles.ini"),
        ("chromium", ".pki/nssdb/pkcs11.txt", b"library=/other.so\nname=Other\n", "empty line"),
    ],
)
def test_register_in_a_file_that_cannot_be_parsed_changes_nothing(
    at_home: Path, name: str, file: str, content: bytes, says: str
) -> None:
    (at_home / file).parent.mkdir(parents=True, exist_ok=True)
    (at_home / file).write_bytes(content)
    before = tree(at_home)
    with pytest.raises(errors.NotEditable, match=says) as raised:
        named(name).plan_register()
    assert PIN not in str(raised.value)
    assert named(name).plan_unregister() == [] if name != "firefox" else True
    assert tree(at_home) == before


def test_register_of_all_goes_on_after_one_that_cannot_be_changed(person: Person) -> None:
    (person.home / ".ssh").write_text("not a folder")
    result = person.run("register", "openssh", "pyhanko")
    assert result.status == EXIT_STATUSES[FileProblem]
    assert str(person.home / ".ssh" / "config") in result.err
    tools = person.tools()
    assert tools["openssh"]["state"] == "unreadable"
    assert tools["pyhanko"]["state"] == "registered"
    assert (person.home / ".ssh").read_text() == "not a folder"


def unreadable(person: Person) -> str:
    file = person.home / ".config" / "xca" / "java.cfg"
    file.parent.mkdir(parents=True)
    file.touch(0o000)
    return "java"


def pipe(person: Person) -> str:
    (person.home / ".ssh").mkdir()
    os.mkfifo(person.home / ".ssh" / "config")
    return "openssh"


def endless(person: Person) -> str:
    (person.home / ".ssh").mkdir()
    (person.home / ".ssh" / "config").symlink_to("/dev/zero")
    return "openssh"


def loop(person: Person) -> str:
    (person.home / ".ssh").mkdir()
    (person.home / ".ssh" / "config").symlink_to("config")
    return "openssh"


def another_users_link(person: Person) -> str:
    target = person.home / "theirs"
    target.write_text("Host a\n")
    (person.home / ".ssh").mkdir()
    (person.home / ".ssh" / "config").symlink_to(target)
    try:
        os.lchown(person.home / ".ssh" / "config", 65533, -1)
    except PermissionError as error:
        pytest.skip(str(error))
    return "openssh"


def closed_folder(person: Person) -> str:
    (person.home / ".mozilla" / "firefox").mkdir(parents=True)
    (person.home / ".mozilla" / "firefox" / "profiles.ini").touch()
    (person.home / ".mozilla").chmod(0o000)
    return "firefox"


def pipe_of_a_database(person: Person) -> str:
    folder = person.home / ".pki" / "nssdb"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "cert9.db")
    return "chromium"


@pytest.mark.parametrize(
    "spoil", [unreadable, pipe, endless, loop, another_users_link, closed_folder, pipe_of_a_database]
)
def test_bad_file_of_one_tool_stops_that_tool_with_its_name(person: Person, spoil: Any) -> None:
    bad = spoil(person)
    person = Person(person.workspace, person.home, WITHOUT_PRIVILEGES)
    tools = person.tools()
    if not tools[bad]["installed"]:
        pytest.skip(tools[bad]["missing"])
    good = [name for name in ("java", "openssh", "pyhanko") if name != bad and tools[name]["installed"]]
    result = person.run("register", bad, *good)
    assert result.status in (EXIT_STATUSES[FileProblem], EXIT_STATUSES[errors.NotEditable])
    assert f"{bad}:\nError: " in result.err
    assert "Traceback" not in result.err
    tools = person.tools()
    assert [tools[name]["state"] for name in good] == ["registered"] * len(good)
    assert tools[bad]["state"] != "registered"
    looks = {look["name"]: look for look in person.run("check", bad, *good, "--json").json["looks"]}
    assert not looks[bad]["works"]
    assert person.run("unregister", *good).status == 0
    (person.home / ".mozilla").chmod(0o700) if bad == "firefox" else None


def test_folder_that_was_deleted_stops_no_tool(person: Person) -> None:
    script = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'
    lost = Person(person.workspace, person.home, ("sh", "-c", script, "sh"))
    tools = lost.tools()
    assert lost.run("register", "openssh", "pyhanko").status == 0
    assert [lost.tools()[name]["state"] for name in ("openssh", "pyhanko")] == ["registered"] * 2
    assert lost.run("unregister", "openssh", "pyhanko").status == 0
    assert set(tools) == {tool.name for tool in all_tools()}


def test_doctor_names_a_tool_with_a_bad_file(person: Person) -> None:
    bad = pipe(person)
    done = person.workspace.with_variables(HOME=str(person.home), PCSCLITE_CSOCK_NAME="/nowhere").run(
        "doctor", "--json"
    )
    found = [finding for finding in done.json["findings"] if finding["check"] == "tools"]
    assert [finding["outcome"] for finding in found] == ["failed", "skipped"]
    assert bad in found[0]["finding"]


def test_register_in_a_read_only_file_changes_nothing(person: Person) -> None:
    (person.home / ".ssh").mkdir()
    (person.home / ".ssh" / "config").write_text("Host a\n")
    (person.home / ".ssh" / "config").chmod(0o444)
    before = tree(person.home)
    result = Person(person.workspace, person.home, WITHOUT_PRIVILEGES).run("register", "openssh")
    assert result.status == EXIT_STATUSES[FileProblem]
    assert tree(person.home) == before


def test_register_on_a_full_disk_leaves_nothing_behind(person: Person) -> None:
    (person.home / ".ssh").mkdir()
    (person.home / ".ssh" / "config").write_text("Host a\n")
    before = tree(person.home)
    full = Person(person.workspace, person.home, ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh"))
    # ssh checks the planned file in a temporary folder; nothing is left there either.
    for name in ("java", "openssh"):
        assert full.run("register", name, PYTHONDONTWRITEBYTECODE="1").status == EXIT_STATUSES[FileProblem]
    assert tree(person.home) == before


def test_register_in_several_profiles_changes_all_or_none(at_home: Path) -> None:
    profiles = [at_home / ".config" / "mozilla" / "firefox" / name for name in ("a", "b")]
    for profile in profiles:
        profile.mkdir(parents=True)
    listed = "".join(f"[Profile{place}]\nPath={folder}\n" for place, folder in enumerate(profiles))
    (profiles[0].parent / "profiles.ini").write_text(listed)
    changes = named("firefox").plan_register()
    assert len(changes) == 2
    (profiles[1] / "pkcs11.txt").write_text("library=/other.so\nname=Meanwhile\n\n")
    before = tree(at_home)
    with pytest.raises(FileProblem, match="just now"):
        make(changes)
    assert tree(at_home) == before
    register("firefox")
    assert named("firefox").registered()
    (profiles[0] / "pkcs11.txt").unlink()
    assert named("firefox").state() is Registration.OUTDATED
    unregister("firefox")
    assert tree(at_home).keys() == before.keys()


def test_register_while_the_browser_runs_is_refused(at_home: Path) -> None:
    profile = firefox_profile(at_home)
    before = tree(at_home)
    with (profile / "cert9.db").open("rb"), pytest.raises(errors.ToolInUse, match=rf"\({os.getpid()}\)"):
        register("firefox")
    assert tree(at_home) == before
    register("firefox")
    with (profile / "cert9.db").open("rb"), pytest.raises(errors.ToolInUse):
        unregister("firefox")
    unregister("firefox")
    assert tree(at_home) == before


def test_list_with_sandboxed_browsers_names_them(person: Person) -> None:
    (person.home / "snap" / "firefox").mkdir(parents=True)
    (person.home / ".var" / "app" / "org.chromium.Chromium").mkdir(parents=True)
    tools = person.tools()
    for name, folder in (("firefox", "~/snap/firefox"), ("chromium", "~/.var/app/org.chromium.Chromium")):
        assert any(folder in remark and "sandbox" in remark for remark in tools[name]["remarks"])
    result = person.run("register", "firefox", PATH="/nowhere")
    assert result.status == EXIT_STATUSES[errors.ToolNotInstalled]
    assert "not as snap or flatpak" in result.err


def test_list_without_a_tool_says_what_to_install(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(at_home))
    for tool in all_tools():
        if tool.name != "pyhanko":  # it is in this Python environment
            assert not tool.installed()
            assert not tool.registered()
            with pytest.raises(errors.ToolNotInstalled, match="install"):
                tool.plan_register()
    assert tree(at_home) == {}


def test_register_of_a_tool_for_another_architecture_is_refused(
    at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = at_home / "java"
    head = bytearray(Path(sys.executable).resolve().read_bytes()[:64])
    head[4], head[18:20] = 1, (3).to_bytes(2, "little")  # ELFCLASS32, EM_386
    program.write_bytes(head)
    program.chmod(0o755)
    keytool = at_home / "keytool"
    keytool.write_text("#!/bin/sh\n")
    keytool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{at_home}:{os.environ['PATH']}")
    assert any("i386, 32-bit" in remark() for remark in named("java").remarks())
    with pytest.raises(errors.WrongArchitecture, match="i386, 32-bit"):
        named("java").plan_register()


# --- the configuration, and what is seen


def test_register_says_when_only_a_variable_names_the_configuration(person: Person) -> None:
    result = person.run("register", "java")
    (command,) = re.findall(r"find it: (.*)$", result.err, re.MULTILINE)
    assert f"XCA_PKCS11_CONF={person.workspace.path}/pkcs11.conf keytool" in result.out
    subprocess.run(["sh", "-euc", command], check=True)
    result = person.run("register", "java")
    assert "XCA_PKCS11_CONF" not in result.out + result.err
    (person.home / ".config" / "xca" / "pkcs11.conf").unlink()
    (person.home / ".config" / "xca" / "pkcs11.conf").write_text("[module]\npath = /other.so\n")
    assert "Make that file the one you mean" in person.run("list").err


def test_check_names_a_tool_that_does_not_see_the_card(person: Person) -> None:
    (person.home / ".ssh").mkdir()
    (person.home / ".ssh" / "config").write_text("PKCS11Provider /other.so\n")
    assert person.run("register", "openssh").status == 0
    result = person.run("check", "openssh", "java", "--json")
    assert result.status == EXIT_STATUSES[errors.CardNotSeen]
    assert "openssh, java" in result.err
    openssh, java = result.json["looks"]
    assert not openssh["works"]
    assert "/other.so" in openssh["detail"]
    assert java == {"name": "java", "works": False, "detail": "not registered"}


def test_check_without_a_card_has_nothing_to_look_at(person: Person) -> None:
    configuration = person.home / "softhsm2.conf"
    (person.home / "none").mkdir()
    configuration.write_text(f"directories.tokendir = {person.home}/none\nobjectstore.backend = file\n")
    empty = person.home / "empty.conf"
    library = person.workspace.path / "libsofthsm2.so"
    empty.write_text(f"[module]\npath = {library}\nenvironment = SOFTHSM2_CONF={configuration}\n")
    result = person.run("check", XCA_PKCS11_CONF=str(empty))
    assert result.status in (EXIT_STATUSES[errors.NoCard], EXIT_STATUSES[errors.NoReader])


def test_check_never_touches_a_real_card_before_its_activation(real: Workspace, home: Path) -> None:
    result = Person(real, home).run("check")
    assert result.status == EXIT_STATUSES[errors.NotActivated]


def test_register_without_a_name_is_a_usage_error(person: Person) -> None:
    assert person.run("register").status == 2
    assert person.run("register", "--all", "java").status == 2


# --- XCA


@dataclass(frozen=True)
class Database:
    """A database that XCA made."""

    path: Path

    def rows(self) -> list[tuple[str, ...]]:
        """All rows of all tables, and how the tables were made."""
        with closing(sqlite3.connect(self.path)) as database:
            names = [
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            tables = [row for name in names for row in database.execute(f'SELECT rowid, * FROM "{name}"')]
            return [*tables, *database.execute("SELECT name, sql FROM sqlite_master ORDER BY name")]

    def modules(self, key: str = "pkcs11path") -> str | None:
        with closing(sqlite3.connect(self.path)) as database:
            row = database.execute("SELECT value FROM settings WHERE key_ = ?", (key,)).fetchone()
        return row and str(row[0])

    def put(self, key: str, value: str | None) -> None:
        with closing(sqlite3.connect(self.path)) as database:
            database.execute("INSERT OR REPLACE INTO settings (key_, value) VALUES (?, ?)", (key, value))
            database.commit()


def xca_database(path: Path, home: Path) -> Database:
    """Have XCA make a database, up to the question for its password; skip the test where XCA is not."""
    if shutil.which("xca") is None:
        pytest.skip("XCA is not here (Debian: xca)")
    subprocess.run(
        ["xca", "--no-gui", f"--database={path}", "--exit"],
        env={**os.environ, "HOME": str(home.parent), "XDG_DATA_HOME": str(home.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        start_new_session=True,
        timeout=60,
    )
    database = Database(path)
    database.put("pwhash", "T0123456789abcdefAA")
    return database


def xca_default(home: Path) -> Database:
    """The database that XCA opens when it starts."""
    database = xca_database(home / "cards.xdb", home)
    folder = home / ".local" / "share" / "de.hohnstaedt.xca"
    folder.mkdir(parents=True)
    (folder / "defaultdb").write_text(f"{database.path}\n")
    return database


def this_computer() -> str:
    """The row that XCA writes on this computer."""
    return f"pkcs11path:{xca._computer()}"


def test_xca_registered_loads_the_module_and_every_row_is_undone(person: Person) -> None:
    database = xca_default(person.home)
    database.path.chmod(0o640)
    before, files = database.rows(), tree(person.home).keys()
    shown = person.run("register", "xca", "--dry-run")
    assert f"\n+pkcs11path: 1:{module_path()}\n" in shown.out
    assert database.rows() == before

    made = person.run("register", "xca")
    assert made.status == 0, made.err
    assert database.modules() == f"1:{module_path()}"
    assert person.tools()["xca"]["state"] == "registered"
    assert "xca: nothing to change" in person.run("register", "xca").err
    seen = person.run("check", "xca", "--json")
    assert seen.json["looks"] == [{"name": "xca", "works": True, "detail": None}]
    assert person.workspace.card()["pin_tries_left"] == 3

    assert person.run("unregister", "xca").status == 0
    assert database.rows() == before
    assert tree(person.home).keys() == files
    assert stat.S_IMODE(database.path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("value", "registered"),
    [(None, "\n{ours}"), ("1:/usr/lib/other.so\n0:/usr/lib/off.so", "{value}\n{ours}")],
    ids=["empty", "others"],
)
@pytest.mark.parametrize("by_computer", [False, True], ids=["all", "this"])
def test_xca_with_a_list_of_modules_keeps_the_list(
    at_home: Path, value: str | None, registered: str, by_computer: bool
) -> None:
    database = xca_default(at_home)
    database.put("pkcs11path:elsewher", "1:/usr/lib/there.so")
    key = this_computer() if by_computer else "pkcs11path"
    database.put(key, value)
    before = database.rows()
    register("xca")
    assert database.modules(key) == registered.format(value=value, ours=f"1:{module_path()}")
    assert database.modules("pkcs11path:elsewher") == "1:/usr/lib/there.so"
    assert named("xca").registered()
    unregister("xca")
    assert database.rows() == before


def test_xca_list_that_xca_wrote_after_registering_is_cleaned_too(at_home: Path) -> None:
    database = xca_default(at_home)
    register("xca")
    database.put(this_computer(), f"1:/usr/lib/other.so\n1:{module_path()}")
    unregister("xca")
    assert database.modules() is None
    assert database.modules(this_computer()) == "1:/usr/lib/other.so"


def test_xca_with_a_database_that_is_named_changes_that_one(person: Person) -> None:
    database = xca_database(person.home / "office.xdb", person.home)
    before = database.rows()
    refused = person.run("register", "xca")
    assert refused.status == EXIT_STATUSES[errors.ToolNotInstalled]
    assert "or name a database" in refused.err
    assert not person.tools()["xca"]["installed"]
    made = person.run("register", "xca", "--database", "office.xdb")
    assert made.status == 0, made.err
    assert f"xca --database={database.path}\n" in made.out
    assert database.modules() == f"1:{module_path()}"
    assert person.run("unregister", "xca", "--database", "office.xdb").status == 0
    assert database.rows() == before
    wrong = person.run("register", "curl", "--database", "office.xdb")
    assert (wrong.status, "--database is for the tool xca." in wrong.err) == (2, True)


def test_xca_that_has_the_database_open_is_to_be_closed_first(at_home: Path) -> None:
    database = xca_default(at_home)
    before = database.rows()
    with database.path.open("rb"), pytest.raises(errors.ToolInUse, match=rf"\({os.getpid()}\)"):
        register("xca")
    assert database.rows() == before


def test_xca_module_that_was_switched_off_there_is_left_alone(at_home: Path) -> None:
    database = xca_default(at_home)
    database.put("pkcs11path", f"0:{module_path()}")
    before = database.rows()
    assert named("xca").state() is Registration.EDITED
    for change in (register, unregister):
        with pytest.raises(errors.EditedByHand):
            change("xca")
    assert database.rows() == before


def test_xca_module_of_another_installation_is_kept_unless_taken_over(at_home: Path) -> None:
    other = at_home / "other" / "xca-pkcs11.so"
    other.parent.mkdir()
    other.touch()
    database = xca_default(at_home)
    database.put("pkcs11path", f"1:/usr/lib/x.so\n1:{other}")
    assert named("xca").state() is Registration.OTHER
    for change in (register, unregister):
        with pytest.raises(errors.OtherInstallation):
            change("xca")
    make(named("xca").plan_register(take_over=True))
    assert database.modules() == f"1:/usr/lib/x.so\n1:{module_path()}"
    database.put("pkcs11path", "1:/usr/lib/x.so\n1:/gone/xca-pkcs11.so")
    assert named("xca").state() is Registration.OUTDATED
    register("xca")
    assert database.modules() == f"1:/usr/lib/x.so\n1:{module_path()}"


def test_xca_file_that_cannot_be_changed_safely_is_refused(at_home: Path) -> None:
    database = xca_default(at_home)
    unfinished = at_home / "cards.xdb-journal"
    unfinished.touch()
    with pytest.raises(errors.NotEditable, match="open it in XCA once"):
        register("xca")
    unfinished.unlink()
    database.path.write_bytes(b"something else " * 100)
    with pytest.raises(errors.NotEditable, match="no database of XCA"):
        register("xca")
    assert named("xca").state() is Registration.UNREADABLE
    with pytest.raises(FileProblem):
        xca.XCA(at_home / "none.xdb").plan_register()
