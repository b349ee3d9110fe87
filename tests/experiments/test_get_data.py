"""Files of data are fetched, made, checked and resumed: from a server on this machine."""

import gzip
import hashlib
import io
import json
import socket
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from threading import Thread

import numpy as np
import pytest
from data_folder import DATA
from doc_pages import prose
from omegaconf import OmegaConf
from scripts import CONF, ROOT, experiment, script

from gram_pyro.tasks.arc.files import read_tasks
from gram_pyro.tasks.images import read_images

pytestmark = pytest.mark.skipif(find_spec("requests") is None, reason='needs pip install "gram_pyro[data]"')
CSV = b"question,answer\n" + b"".join(f"{n:04d},{n:04d}\n".encode() for n in range(9000))
TASK = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}


class Handler(BaseHTTPRequestHandler):
    """Serves server.files, by parts if it is asked, unless server.whole; once only so many bytes of one in breaks."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        data = self.server.files.get(self.path)
        start = 0 if self.server.whole else int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.asked.append((self.path, start))
        if data is None or start >= len(data):
            return self.send_error(404 if data is None else 416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : self.server.breaks.pop(self.path, None)])


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.breaks, server.asked, server.whole = {}, {}, [], False
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def entry(file, url, contents, **more):
    return {"file": file, "url": url, "sha256": hashlib.sha256(contents).hexdigest()} | more


def get(folder, *entries, check=True, sets=("a",)):
    files = ",".join("{" + ",".join(f"{key}: '{value}'" for key, value in each.items()) + "}" for each in entries)
    return script("get_data", f"files=[{files}]", f"folder={folder}", f"sets=[{','.join(sets)}]", check=check)


def sentence(done):
    assert done.returncode != 0 and "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    return line


def test_a_file_is_fetched_once(server, tmp_path):
    server.files["/a.csv"] = CSV
    wanted = [entry("a/b/a.csv", f"{server.url}/a.csv", CSV), entry("c/c.csv", f"{server.url}/none", b"")]
    get(tmp_path, *wanted)
    get(tmp_path, *wanted)
    assert (tmp_path / "a" / "b" / "a.csv").read_bytes() == CSV and server.asked == [("/a.csv", 0)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]  # nothing else is left
    (tmp_path / "a" / "b" / "a.csv").write_bytes(CSV[:-1])
    get(tmp_path, *wanted)
    assert (tmp_path / "a" / "b" / "a.csv").read_bytes() == CSV


@pytest.mark.parametrize("whole", [False, True])
def test_half_a_download_goes_on_where_it_stopped(server, tmp_path, whole):
    """Or from the start, from a server that sends the whole file whatever it is asked for."""
    server.files["/a.csv"], server.breaks["/a.csv"], server.whole = CSV, 40960, whole
    wanted = entry("a/a.csv", f"{server.url}/a.csv", CSV)
    said = sentence(get(tmp_path, wanted, check=False))
    assert "/a.csv broke off after 40960 bytes (" in said and said.endswith("; the same command goes on there")
    assert not (tmp_path / "a").exists()
    get(tmp_path, wanted)
    assert (tmp_path / "a" / "a.csv").read_bytes() == CSV
    assert server.asked == [("/a.csv", 0), ("/a.csv", 0 if whole else 40960)]


def test_a_download_that_was_killed_after_its_last_byte_is_whole(server, tmp_path):
    wanted = entry("a/a.csv", f"{server.url}/a.csv", CSV)
    server.files["/a.csv"] = CSV
    part = tmp_path / ".fetched" / hashlib.sha256(wanted["url"].encode()).hexdigest()[:16]
    part.parent.mkdir()
    part.write_bytes(CSV)
    get(tmp_path, wanted)
    assert (tmp_path / "a" / "a.csv").read_bytes() == CSV


def test_another_file_at_the_source_is_refused_and_not_kept(server, tmp_path):
    wanted = entry("a/a.csv", f"{server.url}/a.csv", CSV)
    server.files["/a.csv"] = other = CSV[:-2] + b"x\n"
    said = sentence(get(tmp_path, wanted, check=False))
    found = hashlib.sha256(other).hexdigest()
    assert f"got SHA-256 {found} for a/a.csv from {server.url}/a.csv; expected {wanted['sha256']}; try once" in said
    assert not (tmp_path / "a").exists()
    server.files["/a.csv"] = CSV
    get(tmp_path, wanted)
    assert (tmp_path / "a" / "a.csv").read_bytes() == CSV


def test_no_network_and_no_such_page_get_a_sentence(server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/a.csv"
    said = sentence(get(tmp_path, entry("a/a.csv", nobody, CSV), check=False))
    assert "/a.csv cannot be reached; is there a network? (ConnectionError)" in said
    said = sentence(get(tmp_path, entry("a/a.csv", f"{server.url}/a.csv", CSV), check=False))
    assert said == f"error: {server.url}/a.csv answers 404 Not Found"


def test_what_is_asked_for_must_be_there(tmp_path):
    said = sentence(get(tmp_path, entry("a/a", "x", b""), sets="b", check=False))
    assert said == "error: got sets=['b']; expected some of a"
    said = sentence(get(tmp_path, {"file": "a/a", "uri": "x"}, check=False))
    assert "with another entry" in said and "expected file, url, sha256, make, inner" in said


def test_an_archive_of_tasks_becomes_one_file(server, tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("repo-1/data/training/b.json", "repo-1/data/training/sub/a.json", "repo-1/data/other/c.json"):
            file.writestr(name, json.dumps(TASK | {"name": "left out"}))
        file.writestr("repo-1/data/training/readme.md", "no task")
    server.files["/repo.zip"] = archive.getvalue()
    contents = json.dumps({"a": TASK, "b": TASK}, separators=(",", ":")).encode()
    get(tmp_path, entry("a/set.json.xz", f"{server.url}/repo.zip", contents, make="joined", inner="data/training"))
    assert [task.name for task in read_tasks(tmp_path / "a" / "set.json.xz")] == ["a", "b"]
    server.files["/repo.zip"] = b"no archive"
    wanted = entry("a/other.json.xz", f"{server.url}/repo.zip", contents, make="joined", inner="data/training")
    said = sentence(get(tmp_path, wanted, check=False))
    assert "got no such file (File is not a zip file) for a/other.json.xz" in said


def test_images_of_idx_become_bits(server, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28 * 28), dtype=np.uint8)
    idx = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 28, 0, 0, 0, 28]) + pixels.tobytes()
    server.files["/images.gz"] = gzip.compress(idx)
    contents = np.packbits(pixels >= 128, axis=1).tobytes()
    get(tmp_path, entry("a/images.xz", f"{server.url}/images.gz", contents, make="bits"))
    (tmp_path / "images.gz").write_bytes(server.files["/images.gz"])
    packed, public = (read_images(tmp_path / name, 28 * 28) for name in ("a/images.xz", "images.gz"))
    assert (packed == public).all() and ((packed == 2).numpy() == (pixels >= 128)).all()


def sources():
    return OmegaConf.to_container(OmegaConf.load(CONF / "get_data.yaml").files)


def test_every_source_is_a_file_of_the_page():
    described = prose(ROOT / "docs" / "data.md")
    assert all(f"| `{source['file']}` |" in described for source in sources())


def test_the_checksums_are_those_of_the_files_that_numbers_were_made_with():
    get_data, known = experiment("get_data"), 0
    for source in sources():
        if (DATA / source["file"]).is_file():
            assert get_data.is_right(DATA / source["file"], get_data.Source(**source)), source["file"]
            known += 1
    assert known or not DATA.is_dir()
