"""requirements.txt, installed by pip into an environment that lies over the image's.

What is in the image counts as installed; another version of it is put before it. So the
image is shared and never changed, and little is fetched.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path


class RequirementsFailed(Exception):
    """pip could not install requirements.txt. The text is its own, where it was asked for."""


def install(requirements: Path, environment: Path, *, quietly: bool = False) -> Path:
    """The directory that holds what was installed, for the path of modules.

    pip writes to the log; `quietly`, its errors are the exception's text instead.
    Raises RequirementsFailed.
    """
    import venv  # most programs install nothing

    venv.EnvBuilder(symlinks=True).create(environment)
    variables = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", variables))
    beneath = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "image.pth").write_text("\n".join(beneath) + "\n")
    command = [str(environment / "bin" / "python"), *_pip(), "install"]
    command += ["--disable-pip-version-check", "--no-input", "-r", requirements.name]
    done = subprocess.run(
        [*command, "--quiet"] if quietly else command,
        cwd=requirements.parent,
        stderr=subprocess.PIPE if quietly else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip() if quietly else f"(pip: {done.returncode})"
        raise RequirementsFailed(f"failed to install required packages {said}")
    return packages


def _pip() -> list[str]:
    """The image's pip, or the one that comes with Python, run from its wheel."""
    if importlib.util.find_spec("pip"):
        return ["-m", "pip"]
    bundled = Path(sysconfig.get_path("stdlib")) / "ensurepip" / "_bundled"
    wheels = sorted(bundled.glob("pip-*.whl"))
    if not wheels:
        raise RequirementsFailed("this image has no pip to install requirements.txt with")
    return [str(wheels[-1] / "pip")]
