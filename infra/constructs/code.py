"""The jobs' scripts as S3 assets, in the form that each service runs.

- SageMaker processing runs one program: the folder as an executable zip archive (PEP 441).
- SageMaker script mode wants a `sourcedir.tar.gz`.
- A Glue Python-shell job is one file: `main.py` with `logic.py` put into it. (Glue's
  `--extra-py-files` takes wheels, and an asset's name is its hash, which no wheel may have.)

Archives are made here, at synth, and byte by byte the same for the same sources: no times, owners
or modes of this machine are in them, and the asset's hash is that of the contents.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from aws_cdk import AssetHashType
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

ROOT = Path(__file__).resolve().parents[2]
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_RUN_MAIN = b'import runpy\n\nrunpy.run_module("main", run_name="__main__")\n'


class CodeAsset(assets.Asset):
    """Bytes as an asset, hashed by what went into them."""

    def __init__(
        self, scope: Construct, id_: str, *, name: str, content: bytes, digest: str
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            # Staging copies the file into the assembly before this returns.
            super().__init__(
                scope,
                id_,
                path=str(path),
                asset_hash=digest,
                asset_hash_type=AssetHashType.CUSTOM,
            )


class ProcessingCode(CodeAsset):
    """A job's folder as a program: `python3 <hash>.zip --its-arguments`."""

    def __init__(self, scope: Construct, id_: str, *, folder: str) -> None:
        files = read_sources(folder)
        super().__init__(
            scope, id_, name="job.zip", content=executable_zip(files), digest=digest_of(files)
        )


class TrainingCode(CodeAsset):
    """A `sourcedir.tar.gz` of a training folder and the inference code the model will carry."""

    def __init__(self, scope: Construct, id_: str, *, folders: tuple[str, ...]) -> None:
        files = read_sources(*folders)
        super().__init__(
            scope, id_, name="sourcedir.tar.gz", content=tar_gz(files), digest=digest_of(files)
        )


class GlueScript(CodeAsset):
    """A job's folder as one Python file."""

    def __init__(self, scope: Construct, id_: str, *, folder: str) -> None:
        files = read_sources(folder)
        script = single_file(files["main.py"].decode(), files["logic.py"].decode()).encode()
        super().__init__(
            scope, id_, name="job.py", content=script, digest=digest_of({"job.py": script})
        )


def read_sources(*folders: str) -> dict[str, bytes]:
    """Python files of the folders (relative to the repository) by name, sorted.

    ValueError when two folders have a file of the same name, or there are no files.
    """
    files: dict[str, bytes] = {}
    for folder in folders:
        for path in sorted((ROOT / folder).glob("*.py")):
            if path.name in files:
                raise ValueError(f"{path.name} is in more than one of {', '.join(folders)}")
            files[path.name] = path.read_bytes()
    if not files:
        raise ValueError(f"no Python files in {', '.join(folders)}")
    return dict(sorted(files.items()))


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, hexadecimal."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def executable_zip(files: Mapping[str, bytes]) -> bytes:
    """An archive that Python runs: `main.py` as a program, the other files importable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted({**files, "__main__.py": _RUN_MAIN}.items()):
            entry = zipfile.ZipInfo(name, date_time=_ZIP_EPOCH)
            entry.create_system = 3  # Unix, on whatever system this runs
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    """A gzipped tar archive with the files at its root."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def single_file(main: str, logic: str) -> str:
    """`main.py` with the line `import logic` replaced by the module's own text.

    The text stays readable where Glue shows the script, and tracebacks keep their source lines.
    ValueError when it cannot be put in unchanged.
    """
    if len(re.findall(r"^import logic$", main, flags=re.MULTILINE)) != 1:
        raise ValueError("main.py must have the line `import logic` exactly once")
    if "'''" in logic or "\\" in logic:
        raise ValueError("logic.py may hold neither ''' nor a backslash")
    block = (
        "# logic.py, put in when the platform was synthesised: a Python-shell job is one file.\n"
        f"_LOGIC = r'''{logic}'''\n"
        'logic = __import__("types").ModuleType("logic")\n'
        'sys.modules["logic"] = logic\n'
        '__import__("linecache").cache["logic.py"] = (\n'
        '    len(_LOGIC), None, _LOGIC.splitlines(True), "logic.py"\n'
        ")\n"
        'exec(compile(_LOGIC, "logic.py", "exec"), logic.__dict__)'
    )
    return re.sub(r"^import logic$", lambda _: block, main, flags=re.MULTILINE)
