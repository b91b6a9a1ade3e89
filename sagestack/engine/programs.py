"""Programs: what an image runs when it is started to train or to serve.

An image that a folder defines brings its own, as a Docker image does. The folder is at
/opt/program in the sandbox, where AWS's examples have it.
"""

from __future__ import annotations

import os
from pathlib import Path

from sagestack.engine.images import Environment, Image, ImageBuildError

FOLDER = "/opt/program"
CONTAINER = Path(__file__).parent.parent / "container"
"""Where the programs lie that stand for an image's own."""


class ProgramMissing(ImageBuildError):
    """An image's folder lacks the program. The text says which, and what to do."""


def check_program(image: Image, program: str) -> None:
    """Raises ProgramMissing."""
    if image.folder is not None:
        _in_folder(image, image.folder, program)


def image_program(environment: Environment, program: str) -> tuple[str, ...]:
    """The command for `train` or `serve`: of the image's folder, or its environment's own
    where that has one, else sagestack's. Raises ProgramMissing."""
    image = environment.image
    if image.folder is not None:
        found = _in_folder(image, image.folder, program)
        inside = f"{FOLDER}/{found.name}"
        return (str(environment.python), inside) if found.suffix == ".py" else (inside,)
    own = environment.bin / program
    if own.exists():
        return (str(own),)
    ours = {"train": image.train, "serve": image.serve}
    return (str(environment.python), str(CONTAINER / ours.get(program, f"{program}.py")))


def _in_folder(image: Image, folder: Path, program: str) -> Path:
    plain, script = folder / program, folder / f"{program}.py"
    if plain.is_file():
        if not os.access(plain, os.X_OK):
            raise ProgramMissing(
                f"the program '{program}' of image {image.name} can't be executed: chmod +x {plain}"
            )
        return plain
    if script.is_file():
        return script
    raise ProgramMissing(
        f"image {image.name} has no program '{program}': put an executable file '{program}', "
        f"or {program}.py, into {folder}"
    )
