"""Installing a run's own Python modules, by uv, inside the run's sandbox.

A source distribution runs code when it is built, so this is no work for the server. What is
installed lies in the run's directory, never in the image.
"""

from __future__ import annotations

import os
import shlex
import zipfile
from collections.abc import Iterable
from pathlib import Path

from uv import find_uv_bin

from sagestack.engine.images import Environment
from sagestack.glue.python_files import INSIDE, Files

NETWORK_SETTINGS = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    *("UV_FIND_LINKS", "UV_INDEX_STRATEGY", "UV_NATIVE_TLS", "UV_OFFLINE"),
)
"""What of the server's environment says where packages come from."""


def uv_binary() -> Path:
    return Path(find_uv_bin())


def install_variables() -> dict[str, str]:
    settings = {name: os.environ[name] for name in NETWORK_SETTINGS if name in os.environ}
    # /opt/ml and the cache in the program's home are two mounts: no file can be linked.
    return {"UV_LINK_MODE": "copy", **settings}


def failure_text(lines: list[str]) -> str:
    """What uv said, from its error on, as one line."""
    said = [line.strip() for line in lines if line.strip()]
    begins = next((n for n, line in enumerate(said) if line.startswith("error:")), 0)
    return " ".join(said[begins:])


def install_commands(files: Files, environment: Environment, options: str) -> list[tuple[str, ...]]:
    """The commands that install what a run brings. `options` are its own, for the modules.

    Wheels of --extra-py-files come without their dependencies: those are the image's, or
    named in --additional-python-modules.
    """
    install = (
        *(str(uv_binary()), "pip", "install", "--no-progress"),
        *("--python", str(environment.python), "--target", f"{INSIDE}/modules"),
    )
    commands = []
    if files.wheels:
        commands.append((*install, "--no-deps", "--offline", *files.wheels))
    if files.modules:
        commands.append((*install, *shlex.split(options), *files.modules))
    return commands


def replaces_modules(directory: Path, environment: Environment) -> bool:
    """Whether what a run brings has a module that the image has as well. Such a run can't be
    forked from a process that has imported the image's."""
    own = {name.split("/")[0].split(".")[0] for name in _brought(directory)} - {"__pycache__"}
    of_image: set[str] = set()
    for packages in environment.bin.parent.glob("lib/python3*/site-packages"):
        of_image |= {path.name.split(".")[0] for path in packages.iterdir()}
    return not own.isdisjoint(of_image)


def _brought(directory: Path) -> Iterable[str]:
    """Paths of modules, as they are below PYTHONPATH."""
    for path in (*(directory / "python").iterdir(), *(directory / "modules").iterdir()):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from archive.namelist()
        else:
            yield path.name
