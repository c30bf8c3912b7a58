"""Public sets from their own homes: pinned by commit and by sha256, never redistributed with tristance."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from tristance.data.errors import UserError
from tristance.data.files import sha256, writing

HOST: Final = "https://raw.githubusercontent.com"
TIMEOUT: Final = 30
"""Seconds that the network may be silent."""
CHUNK: Final = 1 << 16

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes read so far, and its size in bytes where the server tells."""


@dataclass(frozen=True, slots=True)
class PublicFile:
    """One file of a public set."""

    name: str
    """Name it gets here."""
    path: str
    """Path in its home repository."""
    sha256: str


@dataclass(frozen=True, slots=True)
class PublicSet:
    """A public set, and on what terms it may be used."""

    name: str
    title: str
    repository: str
    commit: str
    licence: str
    files: tuple[PublicFile, ...]

    def url(self, file: PublicFile) -> str:
        """Where a file of the set is downloaded from."""
        return f"{HOST}/{self.repository}/{self.commit}/{file.path}"


_NEWSMTSC: Final = "NewsSentiment/experiments/default/datasets/newsmtsc"

SETS: Final[Mapping[str, PublicSet]] = {
    "newsmtsc": PublicSet(
        name="newsmtsc",
        title="NewsMTSC (Hamborg & Donnay, EACL 2021)",
        repository="fhamborg/NewsMTSC",
        commit="b9d9b79704ed1b35cecaf1d7c2343dc1bd734fb7",
        licence="MIT",
        files=(
            PublicFile(
                "train.jsonl",
                f"{_NEWSMTSC}-mt-hf/train.jsonl",
                "e78c7964aad1d5b7dbc66cb3a05d5885dbf2e29a2a3171f0d75b497bf18f3621",
            ),
            PublicFile(
                "dev-mt.jsonl",
                f"{_NEWSMTSC}-mt-hf/dev.jsonl",
                "9dc6480071836094894ee9606cd6bd810d3edeb2d37638d751e55bbb7d375aaa",
            ),
            PublicFile(
                "dev-rw.jsonl",
                f"{_NEWSMTSC}-rw-hf/dev.jsonl",
                "78b5dde35a97b452035c07c142fac5ecf44dd998217921cff62a1519ed01e952",
            ),
        ),
    ),
    "dse": PublicSet(
        name="dse",
        title="Who Blames or Endorses Whom (Park et al., ACL 2021)",
        repository="bywords/directed_sentiment_analysis",
        commit="6a1275f070e40e8d9ae7499963556653c05d439c",
        licence='none: its authors ask users to cite the paper ("use by citing"), which is no licence; '
        "say so where a model was trained on it",
        files=(
            PublicFile(
                "train.txt",
                "dataset/train.txt",
                "0b608a7e376bcd73aad9f0f211d0c29e5fe520a281d1d4b3f5e4e37a20a0636b",
            ),
            PublicFile(
                "valid.txt",
                "dataset/valid.txt",
                "e4bd17fd9f419acd034912de9bfc746a7e400d84496e6082cd18e30b4cedface",
            ),
        ),
    ),
}
"""The sets that can be fetched. Test splits are left out until their hashes are pinned here."""


def fetch(name: str, into: Path, source: Path | None = None, progress: Progress | None = None) -> list[Path]:
    """Get a public set, from its home or from a local copy. All of it is checked before any of it is written.

    On what terms a set may be used, `SETS[name].licence` says: NewsMTSC is under MIT; DSE has no licence, its authors
    ask to be cited.

    Args:
        name: A key of `SETS`.
        into: Folder to write to, made if it isn't there. A file that is there already and right is not fetched again.
        source: Folder to copy from instead of the network: a clone of the home repository, or a folder of the files
            under the names that they get here.
        progress: Told of each chunk of a download.

    Returns:
        The set's files in `into`.

    Raises:
        UserError: If the set is not known, cannot be reached or read, or a file is not the one that is pinned.
    """
    if name not in SETS:
        raise UserError(f"no public set {name!r}; allowed: {', '.join(SETS)}")
    wanted = SETS[name]
    missing = [file for file in wanted.files if not _is_there(file, into)]
    contents = {}
    for file in missing:
        origin, content = _download(wanted, file, progress) if source is None else _copy(wanted, file, source)
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise UserError(f"{origin}: found sha256 {found}; expected {file.sha256}; nothing was written")
        contents[file.name] = content
    try:
        for file_name, content in contents.items():
            with writing(into / file_name, "wb") as stream:
                stream.write(content)
    except OSError as error:
        raise UserError(f"{into}: cannot be written: {error.strerror or error}") from error
    return [into / file.name for file in wanted.files]


def _is_there(file: PublicFile, into: Path) -> bool:
    path = into / file.name
    return path.is_file() and sha256(path) == file.sha256


def _copy(wanted: PublicSet, file: PublicFile, source: Path) -> tuple[str, bytes]:
    inner = PurePosixPath(file.path)
    # A clone, its datasets folder, or a folder under our own names.
    candidates = [source / inner, source / inner.parent.name / inner.name, source / file.name]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise UserError(f"{source}: has no {file.name} (at home: {inner}), which is part of {wanted.name}")
    try:
        return str(found), found.read_bytes()
    except OSError as error:
        raise UserError(f"{found}: cannot be read: {error.strerror}") from error


def _download(wanted: PublicSet, file: PublicFile, progress: Progress | None) -> tuple[str, bytes]:
    url = wanted.url(file)
    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            size = int(response.headers.get("Content-Length") or 0) or None
            while chunk := response.read(CHUNK):
                content += chunk
                if progress is not None:
                    progress(file.name, len(content), size)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{url}: cannot be reached ({reason}); with a local copy: tristance data fetch {wanted.name} --from FOLDER"
        ) from error
    return url, bytes(content)
