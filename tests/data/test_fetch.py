"""Fetching public sets: pinned, checked before anything is written, from a home that is a server of our own here."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tristance.data import fetch as module
from tristance.data.errors import UserError
from tristance.data.fetch import SETS, PublicFile, PublicSet, fetch

CONTENTS = {"train.txt": b"one\n" * 50_000, "valid.txt": b"two\n"}


def tiny(**changed):
    files = tuple(
        PublicFile(name, f"deep/set-a/{name}", changed.get(name) or hashlib.sha256(content).hexdigest())
        for name, content in CONTENTS.items()
    )
    return PublicSet("tiny", "Tiny", "owner/repo", "c0ffee", "MIT", files)


@pytest.fixture
def pinned(monkeypatch):
    monkeypatch.setattr(module, "SETS", {"tiny": tiny()})


@pytest.fixture
def home(monkeypatch, pinned):
    """A server of the files at their pinned addresses; gives the paths that were asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            name = self.path.removeprefix("/owner/repo/c0ffee/deep/set-a/")
            content = CONTENTS.get(name)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "HOST", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()


def held(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_the_pins_are_complete():
    assert set(SETS) == {"newsmtsc", "dse"}
    for name, wanted in SETS.items():
        assert wanted.name == name
        assert re.fullmatch(r"[0-9a-f]{40}", wanted.commit)
        for file in wanted.files:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            assert wanted.url(file).startswith(
                f"https://raw.githubusercontent.com/{wanted.repository}/{wanted.commit}/"
            )
        assert len({file.name for file in wanted.files}) == len(wanted.files)
    assert "no licence" in SETS["dse"].licence


def test_from_home_with_progress_and_not_twice(tmp_path, home):
    steps = []
    into = tmp_path / "new" / "folder"
    paths = fetch("tiny", into, progress=lambda *step: steps.append(step))
    assert paths == [into / "train.txt", into / "valid.txt"]
    assert held(into) == CONTENTS
    assert steps[-1] == ("valid.txt", 4, 4)
    assert [done for name, done, _ in steps if name == "train.txt"][-1] == 200_000
    assert len(home) == 2
    assert fetch("tiny", into) == paths
    assert len(home) == 2, "what is there and right is not fetched again"
    (into / "valid.txt").write_bytes(b"spoilt")
    fetch("tiny", into)
    assert held(into) == CONTENTS


def test_wrong_hash_writes_nothing(tmp_path, home, monkeypatch):
    monkeypatch.setattr(module, "SETS", {"tiny": tiny(**{"valid.txt": "0" * 64})})
    found = hashlib.sha256(CONTENTS["valid.txt"]).hexdigest()
    with pytest.raises(UserError, match=rf"valid\.txt: found sha256 {found}; expected 0000"):
        fetch("tiny", tmp_path / "into")
    assert held(tmp_path / "into") == {}


def test_a_file_that_is_gone(tmp_path, home, monkeypatch):
    monkeypatch.setitem(CONTENTS, "valid.txt", None)
    with pytest.raises(UserError, match=r"valid\.txt: cannot be reached \(Not Found\).*fetch tiny --from"):
        fetch("tiny", tmp_path / "into")
    assert held(tmp_path / "into") == {}


def test_no_network(tmp_path, pinned, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module, "HOST", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"cannot be reached .*--from FOLDER"):
        fetch("tiny", tmp_path / "into")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("inner", ["", "set-a", "deep/set-a"])
def test_from_a_local_copy(tmp_path, pinned, inner):
    folder = tmp_path / "source" / inner
    folder.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    fetch("tiny", tmp_path / "into", tmp_path / "source")
    assert held(tmp_path / "into") == CONTENTS


def test_local_copy_that_lacks_a_file_or_has_another(tmp_path, pinned):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.txt").write_bytes(CONTENTS["train.txt"])
    with pytest.raises(UserError, match=r"source: has no valid\.txt \(at home: deep/set-a/valid\.txt\)"):
        fetch("tiny", tmp_path / "into", source)
    (source / "valid.txt").write_bytes(b"other")
    with pytest.raises(UserError, match=r"source/valid\.txt: found sha256"):
        fetch("tiny", tmp_path / "into", source)
    assert held(tmp_path / "into") == {}


def test_a_place_that_cannot_be_written(tmp_path, home):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        fetch("tiny", tmp_path / "file")


def test_unknown_set(tmp_path):
    with pytest.raises(UserError, match="no public set 'semeval'; allowed: newsmtsc, dse"):
        fetch("semeval", tmp_path)
