"""Optional packs, from a registry on this machine."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ray_jobs import cli
from synth import asset_packs
from synth.asset_manifest import load_manifest
from synth.asset_packs import PACKS, Pack, fetched, find_pack
from synth.errors import AssetError


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def registry(tmp_path):
    """Serves a tarball as npm does; yields the pack that names it and the requests it saw."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with tarfile.open(folder / "assets.tgz", "w:gz") as archive:
        for name, text in {
            "package/hdri/dawn.exr.js": b'export default "data:;base64,%s"' % b64(b"dawn"),
            "package/hdri/hall.exr.js": b'export default "data:;base64,%s"' % b64(b"hall"),
            "package/hdri/hall.exr.d.ts": b"declare",
            "package/../../escape.exr.js": b'"base64,%s"' % b64(b"no"),
            "package/fonts/a.js": b"x",
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    data = (folder / "assets.tgz").read_bytes()
    yield dataclasses.replace(
        PACKS["pmndrs"],
        url=f"http://127.0.0.1:{server.server_port}/assets.tgz",
        sha256=hashlib.sha256(data).hexdigest(),
    )
    server.shutdown()
    server.server_close()


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


def test_a_pack_becomes_a_folder_with_a_manifest(registry: Pack):
    with fetched(registry) as folder:
        manifest = load_manifest(folder)
        assert sorted(manifest.items) == ["dawn", "hall"]
        assert (folder / "dawn.exr").read_bytes() == b"dawn"
        assert {manifest.licence_of(item) for item in manifest.items.values()} == {"CC0-1.0"}
        assert manifest.source and manifest.attribution
        assert sorted(path.name for path in folder.iterdir()) == [
            "assets.yaml", "dawn.exr", "hall.exr",
        ]  # fmt: skip
    assert not folder.exists()


def test_other_bytes_than_listed_are_not_installed(registry: Pack):
    other = dataclasses.replace(registry, sha256="0" * 64)
    with pytest.raises(AssetError, match="nothing was installed") as error, fetched(other):
        pass
    assert registry.sha256 in str(error.value) and other.sha256 in str(error.value)


def test_an_unreachable_registry_is_one_sentence(registry: Pack):
    gone = dataclasses.replace(registry, url=registry.url.replace("assets.tgz", "no.tgz"))
    with pytest.raises(AssetError, match="cannot be fetched"), fetched(gone):
        pass


def test_a_flood_is_stopped(registry: Pack, monkeypatch):
    monkeypatch.setattr(asset_packs, "MAX_BYTES", 10)
    with pytest.raises(AssetError, match="larger than"), fetched(registry):
        pass


def test_every_pack_names_a_digest_and_a_licence():
    for name, pack in PACKS.items():
        assert pack.name == name and len(pack.sha256) == 64 and pack.url.startswith("https://")
        assert pack.licence in pack.notice() and pack.sha256 in pack.notice()
    with pytest.raises(AssetError, match="did you mean 'pmndrs'"):
        find_pack("pmndr")


def test_the_licence_comes_before_anything_is_fetched(tmp_path, monkeypatch, capsys):
    def never(*_):
        raise AssertionError("fetched without consent")

    monkeypatch.setattr("synth.asset_packs._download", never)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert cli.main(["assets", "pack", "pmndrs", "--store", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "CC0-1.0" in captured.out and "--accept-licence" in captured.err
    assert cli.main(["assets", "pack"]) == 0 and "18 environment maps" in capsys.readouterr().out


def test_a_refusal_installs_nothing(tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert cli.main(["assets", "pack", "pmndrs", "--store", str(tmp_path / "s")]) == 1
    assert "nothing was installed" in capsys.readouterr().out
    assert not Path(tmp_path / "s").exists()


def test_the_verbs_of_the_store(tmp_path, capsys):
    store = ["--store", str(tmp_path / "store")]
    assert cli.main(["assets", "list", *store]) == 0
    assert cli.main(["assets", "check", *store]) == 0
    assert "0 assets, all undamaged" in capsys.readouterr().out
    assert cli.main(["assets", "remove", "a:b", *store]) == 1
    assert "nothing named 'a:b'" in capsys.readouterr().err
    assert cli.main(["assets", "add", *store]) == 1
    assert "needs a folder or a name" in capsys.readouterr().err
