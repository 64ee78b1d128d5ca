# SPDX-License-Identifier: Apache-2.0
"""The two distributions of this repository: what they hold, what they need, what works with that alone."""

import gettext
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from email.message import Message
from email.parser import BytesParser
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pkcs11_shim.rules import CARD_LABEL

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = {"xca-login": ROOT / "login", "xca-plugin": ROOT}
CATALOGUES_MADE: Final = "2026-01-01 00:00+0000"
BARE_PIN: Final = "73052841"
OF_EXTRAS: Final = (
    "xca_common.command_line",
    "xca_common.database_address",
    "xca_common.harmless_table",
    "xca_common.utc_datetime",
    "xca_login.commands",
    "xca_login.integrations.",
    "xca_login.oidc",
    "xca_login.sql_store",
    "xca_login.pytest_plugin",
)
"""How the names of the modules begin that need an extra or xca-plugin, but those for pages."""
HEAVY: Final = ("click", "pkcs11", "pkcs11_shim", "pyhanko", "rich", "softhsm", "xca_centre", "xca_plugin")

each_distribution = pytest.mark.parametrize("name", SOURCES)


def _build(source: Path, folder: Path, *options: str) -> Path:
    """Build a distribution with the backends that the tests have; return the wheel."""
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", folder, source],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


NO_MODULE: Final = ("-Ccmake.define.XCA_MODULE=OFF", "-Cwheel.platlib=false")
"""The options with which packaging/build.sh makes the wheel for other systems."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of the tree."""
    folder = tmp_path_factory.mktemp("wheels")
    return {name: _build(source, folder / name, "--wheel") for name, source in SOURCES.items()}


def _metadata(wheel: Path, file: str = "METADATA") -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(f".dist-info/{file}")]
        return BytesParser().parsebytes(archive.read(name))


def _needs(metadata: Message, extra: str = "") -> list[Requirement]:
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    return [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": extra})]


def _with_what_they_need(requirements: Iterable[Requirement]) -> Iterator[Distribution]:
    """Return the installed distributions that pip would bring for these requirements."""
    known: set[str] = set()
    waiting = [(each.name, each.extras) for each in requirements]
    while waiting:
        name, extras = waiting.pop()
        if (key := f"{canonicalize_name(name)}{sorted(extras)}") in known:
            continue
        known.add(key)
        found = distribution(name)
        yield found
        for line in found.requires or ():
            each = Requirement(line)
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                waiting.append((each.name, each.extras))


def _environment(folder: Path, wheels: Iterable[Path], requirements: Iterable[Requirement]) -> Path:
    """Make an environment with these wheels and what the requirements bring; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    (target,) = folder.glob("lib/python3*/site-packages")
    ours = {canonicalize_name(name) for name in SOURCES}
    for found in _with_what_they_need(each for each in requirements if each.name not in ours):
        for name in {
            file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")
        }:
            if not (target / name).exists():
                (target / name).symlink_to(Path(str(found.locate_file(name))))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", *wheels], check=True)
    return python


def _import_all(python: Path, *, web: bool) -> "subprocess.CompletedProcess[str]":
    """Import every module of xca_common and xca_login that needs no extra, those for pages if asked for.

    None of the heavy packages may be there.
    """
    program = f"""
import importlib, importlib.util, pkgutil, xca_common, xca_login
modules = [
    *pkgutil.walk_packages(xca_common.__path__, "xca_common."),
    *pkgutil.walk_packages(xca_login.__path__, "xca_login."),
]
for module in modules:
    if module.name.startswith({OF_EXTRAS}):
        continue
    if {web} or not module.name.startswith("xca_common.web."):
        importlib.import_module(module.name)
        print(module.name)
assert not [name for name in {HEAVY} if importlib.util.find_spec(name)]
"""
    return subprocess.run([python, "-I", "-c", program], capture_output=True, text=True)


@each_distribution
def test_wheel_from_a_sdist_is_that_of_the_tree(name: str, wheels: dict[str, Path], tmp_path: Path) -> None:
    # Without an option, build makes the wheel from the sdist that it made.
    from_sdist = _build(SOURCES[name], tmp_path)
    with zipfile.ZipFile(wheels[name]) as tree, zipfile.ZipFile(from_sdist) as sdist:
        assert sdist.namelist() == tree.namelist()
        assert [each for each in tree.namelist() if sdist.read(each) != tree.read(each)] == []


def test_metadata_names_the_authors_and_the_pythons(wheels: dict[str, Path]) -> None:
    for wheel in wheels.values():
        metadata = _metadata(wheel)
        assert metadata["Author"] == "The xca-plugin developers"
        classifiers = metadata.get_all("Classifier", [])
        assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 13)} <= {*classifiers}


def _clone_at(home: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Copy what a project's home is told in, name a home, and run packaging/project_home.py on it."""
    for name in (
        "pyproject.toml",
        "README.md",
        "login/pyproject.toml",
        "login/README.md",
        "packaging/home.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    with (folder / "packaging" / "home.txt").open("a") as file:
        file.write(home)
    script = [sys.executable, str(ROOT / "packaging" / "project_home.py"), str(folder)]
    return subprocess.run(script, capture_output=True, text=True)


def test_home_that_is_named_is_in_the_metadata_and_in_every_link(tmp_path: Path) -> None:
    done = _clone_at("https://example.org/xca/\n", tmp_path)
    assert done.returncode == 0, done.stderr
    for folder in ("", "login/"):
        project = tomllib.loads((tmp_path / folder / "pyproject.toml").read_text())["project"]
        assert project["urls"]["Homepage"] == "https://example.org/xca/"
        assert "web" in project["optional-dependencies"] or "agent" in project["optional-dependencies"]
    links = re.findall(r"\]\(([^)\s]+)\)", (tmp_path / "README.md").read_text())
    assert "https://example.org/xca/docs/cli.md" in links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_home_that_is_not_named_changes_nothing(tmp_path: Path) -> None:
    assert _clone_at("", tmp_path).returncode == 0
    for name in ("pyproject.toml", "README.md", "login/pyproject.toml", "login/README.md"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


@pytest.mark.parametrize("home", ["http://example.org/\n", "nowhere\n", "https://a/\nhttps://b/\n"])
def test_home_that_is_no_address_is_refused(tmp_path: Path, home: str) -> None:
    done = _clone_at(home, tmp_path)
    assert done.returncode != 0
    assert "home.txt" in done.stderr


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="packages are made in Debian")
def test_sbom_is_of_the_plugin_and_names_the_libraries_inside_the_module(tmp_path: Path) -> None:
    names = ("click", "pip", "pytest", "setuptools", "xca-plugin")
    needed = {"xca-plugin": ["click", "pytest"], "pytest": ["setuptools"], "setuptools": ["pip"]}
    bom = {
        "metadata": {},
        "components": [{"type": "library", "bom-ref": name, "name": name} for name in names],
        "dependencies": [
            {"ref": name} | ({"dependsOn": needed[name]} if name in needed else {}) for name in names
        ],
    }
    (tmp_path / "sbom.json").write_text(json.dumps(bom))
    subprocess.run([sys.executable, ROOT / "packaging" / "sbom.py", tmp_path / "sbom.json"], check=True)
    made = json.loads((tmp_path / "sbom.json").read_text())
    assert made["metadata"]["component"]["name"] == "xca-plugin"
    assert [each["name"] for each in made["components"]] == ["click", "pytest", "inih", "libxcrypt", "zlib"]
    known = {each["bom-ref"] for each in [*made["components"], made["metadata"]["component"]]}
    assert {each["ref"] for each in made["dependencies"]} == known
    needs = {each["ref"]: each.get("dependsOn", []) for each in made["dependencies"]}
    assert len(needs["xca-plugin"]) == 5
    assert {one for each in needs.values() for one in each} <= known


@pytest.mark.parametrize("lacking", ["cc", "inih"])
def test_module_that_cannot_be_compiled_names_the_packages_in_one_sentence(
    tmp_path: Path, lacking: str
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("cmake", "ninja", "cc", "pkg-config"):
        program = shutil.which(name)
        assert program is not None
        if name != lacking:
            (programs / name).symlink_to(program)
    done = subprocess.run(
        ["cmake", "-G", "Ninja", "-S", ROOT, "-B", tmp_path / "build"],
        env={"PATH": str(programs), "PKG_CONFIG_LIBDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert said.count("CMake Error at") == 1
    assert "apt install gcc libc6-dev pkg-config libinih-dev zlib1g-dev libcrypt-dev" in said


def test_login_wheel_is_pure_and_needs_two_packages(wheels: dict[str, Path]) -> None:
    assert wheels["xca-login"].name.endswith("-py3-none-any.whl")
    assert _metadata(wheels["xca-login"], "WHEEL")["Root-Is-Purelib"] == "true"
    needed = {each.name for each in _needs(_metadata(wheels["xca-login"]))}
    assert needed == {"asn1crypto", "cryptography"}


def test_plugin_wheel_needs_login_of_its_own_version(wheels: dict[str, Path]) -> None:
    plugin, login = (_metadata(wheels[name]) for name in ("xca-plugin", "xca-login"))
    assert plugin["Version"] == login["Version"]
    assert f"xca-login=={login['Version']}" in [str(each) for each in _needs(plugin)]


def test_wheels_have_the_licence_and_compiled_catalogues(wheels: dict[str, Path]) -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            (file,) = [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
            assert archive.read(file) == licence
            catalogues = [name for name in names if name.endswith("/zh_TW/LC_MESSAGES/messages.mo")]
            spoken = (
                {"xca_common", "xca_login"}
                if wheel == wheels["xca-login"]
                else {"softhsm", "xca_centre", "xca_plugin"}
            )
            assert {name.split("/")[0] for name in catalogues} == spoken
            # Babel writes the time of the build where the source names none.
            for file in catalogues:
                made = gettext.GNUTranslations(archive.open(file)).info()["pot-creation-date"]
                assert made == CATALOGUES_MADE
        assert [name for name in names if name.endswith((".po", ".c", ".sh"))] == []


def test_plugin_wheel_has_the_module_without_debug_symbols(wheels: dict[str, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(wheels["xca-plugin"]) as archive:
        module = archive.extract("pkcs11_shim/xca-pkcs11.so", tmp_path)
    symbols = subprocess.run(["nm", module], capture_output=True, text=True, check=True)
    assert "no symbols" in symbols.stderr
    assert b".debug_info" not in Path(module).read_bytes()


def test_login_modules_import_with_what_it_needs_alone(wheels: dict[str, Path], tmp_path: Path) -> None:
    wheel = wheels["xca-login"]
    python = _environment(tmp_path / "plain", [wheel], _needs(_metadata(wheel)))
    plain = _import_all(python, web=False)
    assert plain.returncode == 0, plain.stderr
    python = _environment(tmp_path / "web", [wheel], _needs(_metadata(wheel), "web"))
    with_web = _import_all(python, web=True)
    assert with_web.returncode == 0, with_web.stderr
    assert {"xca_common.errors", "xca_common.pki.revocation"} <= {*plain.stdout.split()}
    assert {*plain.stdout.split()} < {*with_web.stdout.split()}


def test_plugin_with_what_it_needs_has_a_working_xcactl(wheels: dict[str, Path], tmp_path: Path) -> None:
    requirements = [each for wheel in wheels.values() for each in _needs(_metadata(wheel))]
    python = _environment(tmp_path / "environment", wheels.values(), requirements)
    done = subprocess.run(
        [python.with_name("xcactl"), "--lang", "zh_TW", "info"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
    )
    # There is no module's configuration in this home: a message with its next step, in Chinese.
    assert (done.returncode, done.stdout) == (23, ""), done.stderr
    assert "設定" in done.stderr


def test_missing_extra_is_named_whole_with_a_command_for_this_environment(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    requirements = [each for wheel in wheels.values() for each in _needs(_metadata(wheel))]
    python = _environment(tmp_path / "environment", wheels.values(), requirements)

    def hint(*command: str, status: int) -> str:
        done = subprocess.run(
            [python.with_name(command[0]), *command[1:]],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        return done.stderr

    def command_for(said: str) -> list[str]:
        (line,) = (line for line in said.splitlines() if "Install what is missing: " in line)
        return shlex.split(line.partition("Install what is missing: ")[2])

    # Without pip, nothing can be installed into this environment.
    another = hint("xcactl", "agent", "run", status=85)
    assert f"{python} -m venv ~/xca && ~/xca/bin/python -m pip install " in another
    (site_packages,) = (tmp_path / "environment").glob("lib/python3*/site-packages")
    (site_packages / "pip").mkdir()

    needed = {each.name for each in _needs(_metadata(wheels["xca-plugin"]), "agent")} - {"xca-login"}
    needed |= {each.name for each in _needs(_metadata(wheels["xca-login"]), "web")}
    needed |= {"fonttools", "uharfbuzz"}  # of pyhanko[opentype]
    installed = {each.name for each in requirements}
    command = command_for(hint("xcactl", "agent", "run", status=85))
    assert command[:4] == [str(python), "-m", "pip", "install"]
    assert {Requirement(each).name for each in command[4:]} == needed - installed
    assert {"itsdangerous", "jinja2", "psutil", "starlette", "uvicorn"} <= needed - installed

    of_the_provider = hint("xca-login", "oidc", "provider.toml", status=2)
    needed = {each.name for each in _needs(_metadata(wheels["xca-login"]), "oidc")} - {"xca-login"}
    assert all(each in of_the_provider.partition("Install what is missing")[0] for each in needed - installed)
    assert needed - installed <= {Requirement(each).name for each in command_for(of_the_provider)[4:]}
    assert {"authlib", "joserfc"} <= needed - installed

    (tmp_path / "environment" / "pipx_metadata.json").write_text("{}")
    assert "pipx inject environment " in hint("xcactl", "agent", "run", status=85)


def test_login_command_without_its_extra_names_the_package_and_a_command(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    wheel = wheels["xca-login"]
    python = _environment(tmp_path / "environment", [wheel], _needs(_metadata(wheel)))
    done = subprocess.run([python.with_name("xca-login"), "demo"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "click" in done.stderr
    assert f"{python} -m pip install 'xca-login[cli]'" in done.stderr


@pytest.fixture(scope="module")
def bare_card(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Make a token with the card's label, in SoftHSM alone; return the variables that lead to it."""
    folder = tmp_path_factory.mktemp("bare")
    library = next(Path("/usr").glob("lib*/**/libsofthsm2.so"))
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\n")
    (folder / "pkcs11.conf").write_text(f"[module]\npath={library}\n")
    (folder / "pin").write_text(f"{BARE_PIN}\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "SOFTHSM2_CONF": str(folder / "softhsm2.conf"),
        "XCA_PKCS11_CONF": str(folder / "pkcs11.conf"),
    }
    key, certificate = folder / "key.pem", folder / "cert1.der"
    for command in (
        f"softhsm2-util --init-token --free --label '{CARD_LABEL}' --so-pin Abcd2345 --pin {BARE_PIN}",
        f"openssl req -x509 -newkey rsa:2048 -noenc -subj /O=test -keyout {key} -outform DER "
        f"-out {certificate}",
        f"softhsm2-util --import {key} --token '{CARD_LABEL}' --pin {BARE_PIN} --label SIGN --id 5349474e",
        f"pkcs11-tool --module {library} --login --pin {BARE_PIN} --write-object {certificate} --type cert "
        "--label cert1 --id 5349474e",
    ):
        subprocess.run(shlex.split(command), env=environment, check=True, capture_output=True)
    return environment


def test_wheel_without_module_uses_the_module_that_the_configuration_names(
    wheels: dict[str, Path], tmp_path: Path, bare_card: dict[str, str]
) -> None:
    wheel = _build(ROOT, tmp_path / "wheel", "--wheel", *NO_MODULE)
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as bare, zipfile.ZipFile(wheels["xca-plugin"]) as whole:
        missing = {*whole.namelist()} - {*bare.namelist()}
        assert {name for name in missing if ".dist-info/" not in name} == {"pkcs11_shim/xca-pkcs11.so"}
    both = [wheel, wheels["xca-login"]]
    needs = [each for one in both for each in _needs(_metadata(one))]
    python = _environment(tmp_path / "environment", both, needs)

    def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(python.with_name(program)), *arguments]
        return subprocess.run(command, env=bare_card, cwd=tmp_path, capture_output=True, text=True)

    shown = run("xcactl", "info", "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["state"] == "active"
    (tmp_path / "contract.txt").write_text("contract")
    signed = run("xcactl", "sign", "contract.txt", "--pin", f"file:{bare_card['HOME']}/pin", "--yes")
    assert signed.returncode == 0, signed.stderr
    assert (tmp_path / "contract.txt.p7s").exists()
    # The stand-in's cards need the module, and say so.
    assert run("softhsm-card", "--dir", str(tmp_path / "cards"), "init").returncode == 0
    stand_in = run("softhsm-card", "--dir", str(tmp_path / "cards"), "env")
    assert (stand_in.returncode, stand_in.stdout) == (1, "")
    assert "no xca-pkcs11.so" in stand_in.stderr
