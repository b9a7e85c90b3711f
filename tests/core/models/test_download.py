"""Weights by name: the official ones from a real server, honest and otherwise; timm's tags."""

import base64
import hashlib
import multiprocessing
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from core import InputError, create_backbone, load_backbone
from core.cache import cache_folder
from core.models.sharing import save_backbone
from core.models.weights import download
from core.models.weights.download import NAMES, OFFICIAL, official_weights

FIXTURE = Path(__file__).parents[2] / "fixtures" / "mixer_tiny_linen.npz"
B16 = "imagenet1k/Mixer-B_16.npz"
CONTENT = np.random.default_rng(0).bytes(300_000)


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; `server.behaviour` says how."""

    def do_GET(self):
        how, wanted = self.server.behaviour, self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        content = self.server.files.get(self.path)
        if content is None:
            return self.send_error(404)
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and how["ranges"] else 0
        if begin >= len(content):
            return self.send_error(416)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.send_header("x-goog-hash", "crc32c=AAAAAA==")
        self.send_header("x-goog-hash", f"md5={how['md5'] or md5(content)}")
        self.end_headers()
        most = how["most"].pop(0) if how["most"] else len(content)
        self.wfile.write(content[begin : begin + most])
        self.wfile.flush()
        how["hang"].wait(20)
        self.close_connection = True
        return None

    def log_message(self, *_):
        pass


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of CONTENT as the B/16 of imagenet1k, and an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.requests = {f"/{B16}": CONTENT}, []
    go = threading.Event()
    go.set()
    server.behaviour = {"ranges": True, "md5": "", "most": [], "hang": go}
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(download, "ROOT", f"http://127.0.0.1:{server.server_port}")
    sizes = {"imagenet1k": {"B_16": round(len(CONTENT) / 2**20, 2)}}
    monkeypatch.setattr(download, "OFFICIAL", {**OFFICIAL, **sizes})
    monkeypatch.setenv("MIXER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()


def get() -> Path:
    return official_weights("mixer_b16", "imagenet1k")


def cached(tmp_path: Path) -> list[str]:
    return [p.name for p in (tmp_path / "cache/imagenet1k").iterdir() if p.suffix != ".lock"]


def write_partial(tmp_path: Path, content: bytes) -> Path:
    partial = tmp_path / "cache" / f"{B16}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(content)
    return partial


def test_fetched_once(server, tmp_path):
    assert get() == tmp_path / "cache" / B16
    assert get().read_bytes() == CONTENT
    assert server.requests == [(f"/{B16}", None)]
    assert cached(tmp_path) == ["Mixer-B_16.npz"]


def test_a_file_put_there_by_hand_is_used_as_it_is(server, tmp_path):
    path = tmp_path / "cache" / B16
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    assert get().read_bytes() == b"mine"
    assert not server.requests


@pytest.mark.parametrize("have", [1, 1000, len(CONTENT) - 1, len(CONTENT)])
def test_a_partial_file_is_continued(server, tmp_path, have):
    write_partial(tmp_path, CONTENT[:have])
    assert get().read_bytes() == CONTENT
    last = f"bytes={have - 1}-" if have > 1 else None
    assert server.requests == [(f"/{B16}", last)]


def test_a_server_without_ranges_sends_it_whole(server, tmp_path):
    server.behaviour["ranges"] = False
    write_partial(tmp_path, b"x" * 1000)
    assert get().read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_is_dropped(server, tmp_path):
    write_partial(tmp_path, CONTENT + b"more")
    assert get().read_bytes() == CONTENT


def test_a_broken_connection_is_taken_up_again(server):
    server.behaviour["most"] = [100_000, 50_000]
    assert get().read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == [None, "bytes=99999-", "bytes=149998-"]


def test_a_connection_that_goes_on_breaking(server, tmp_path):
    server.behaviour["most"] = [100_000, 0]
    with pytest.raises(InputError, match="broke off after 100000 of 300000 bytes: ask again"):
        get()
    assert cached(tmp_path) == ["Mixer-B_16.npz.partial"]
    assert get().read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=99999-"


def test_another_size_than_the_released_one(server, tmp_path):
    server.files[f"/{B16}"] = b"<html>please log in</html>"
    with pytest.raises(InputError, match=r"has 0\.00 MiB there, the released file 0\.29"):
        get()
    assert cached(tmp_path) == []


def test_damaged_content(server, tmp_path):
    write_partial(tmp_path, b"x" * 1000)
    with pytest.raises(InputError, match=r"arrived damaged.*deleted: ask again"):
        get()
    assert cached(tmp_path) == []
    assert get().read_bytes() == CONTENT


def test_another_md5_than_the_server_names(server, tmp_path):
    server.behaviour["md5"] = md5(b"something else")
    with pytest.raises(InputError, match=r"its MD5 is not the "):
        get()
    assert cached(tmp_path) == []


@pytest.mark.parametrize("offline", [False, True])
def test_out_of_reach(server, tmp_path, monkeypatch, offline):
    server.files.clear()
    if offline:
        monkeypatch.setattr(download, "ROOT", "http://127.0.0.1:1")
    with pytest.raises(InputError) as caught:
        get()
    assert ("Connection refused" if offline else "404") in str(caught.value)
    assert f"{download.ROOT}/{B16}" in str(caught.value)
    assert str(caught.value).endswith(f"put it at {tmp_path / 'cache' / B16}")
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIXER_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"could not be fetched.*directory"):
        get()


def in_another_process(work):
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def test_processes_that_ask_at_once_fetch_it_once(server, tmp_path):
    server.behaviour["hang"] = threading.Event()  # the first is slow: the others come meanwhile

    def work():
        os._exit(0 if get().read_bytes() == CONTENT else 1)

    processes = [in_another_process(work) for _ in range(3)]
    time.sleep(0.3)
    server.behaviour["hang"].set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(server.requests) == 1


def test_a_kill_leaves_a_partial_file_that_is_continued(server, tmp_path):
    server.behaviour["most"], server.behaviour["hang"] = [200_000], threading.Event()
    partial = tmp_path / "cache" / f"{B16}.partial"
    process = in_another_process(get)
    for _ in range(500):
        if partial.is_file() and partial.stat().st_size > 100_000:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert cached(tmp_path) == ["Mixer-B_16.npz.partial"]
    assert CONTENT.startswith(partial.read_bytes())
    begun = partial.stat().st_size
    assert begun > 100_000
    server.behaviour["hang"].set()
    assert get().read_bytes() == CONTENT
    assert server.requests[-1][1] == f"bytes={begun - 1}-"


@pytest.mark.parametrize(
    ("name", "which", "words"),
    [
        ("mixer_h14", "imagenet1k", "mixer_h14 has none of these sets"),
        ("mixer_s16", "imagenet1k", "mixer_s16 has gsam; imagenet1k has mixer_b16, mixer_l16"),
        ("mixer_l16", "sam", "mixer_l16 has imagenet1k, imagenet21k"),
        ("s2mlp_deep", "gsam", "no gsam weights of s2mlp_deep were ever released"),
    ],
)
def test_weights_that_were_never_released(name, which, words):
    with pytest.raises(InputError, match=words):
        create_backbone(name, 224, weights=which)


def test_unknown_sets():
    with pytest.raises(InputError, match=r"'jft'.*imagenet1k, imagenet21k, sam, gsam"):
        official_weights("mixer_b16", "jft")
    with pytest.raises(InputError, match=r"jft does not exist.*imagenet1k, imagenet21k, sam, gsam"):
        create_backbone("mixer_b16", 224, weights="jft")


def test_the_sizes_are_those_of_the_networks():
    """float32 of every parameter and of the head, and less than 0.1 MiB of zip around them."""
    for which, files in OFFICIAL.items():
        for name, key in NAMES.items():
            if key not in files:
                continue
            with torch.device("meta"):
                backbone = create_backbone(name, 224)
            classes = 21_843 if which == "imagenet21k" else 1000
            head = (backbone.num_features + 1) * classes
            bare = 4 * (sum(p.numel() for p in backbone.parameters()) + head) / 2**20
            assert 0 < files[key] - bare < 0.15, (which, key, bare)
    assert sum(len(files) for files in OFFICIAL.values()) == 11


def test_from_the_name_to_the_features(server, monkeypatch):
    content = FIXTURE.read_bytes()
    server.files[f"/{B16}"] = content
    download.OFFICIAL["imagenet1k"]["B_16"] = round(len(content) / 2**20, 2)
    with pytest.raises(InputError, match=r"Mixer-B_16\.npz holds a Mixer of .*mixer_b16 has"):
        create_backbone("mixer_b16", 224, weights="imagenet1k")
    expected = load_backbone(FIXTURE)
    config = expected.config
    name = f"mixer_c{config.hidden_dim}_l{config.num_blocks}_p{config.patch_size[0]}"
    monkeypatch.setitem(NAMES, name, "B_16")
    mlps = {k: getattr(config, k) for k in ("tokens_mlp_dim", "channels_mlp_dim")}
    ours = create_backbone(name, 40, weights="imagenet1k", **mlps)
    images = torch.randn(2, 3, 40, 40)
    assert torch.equal(ours(images), expected(images))
    assert Path(ours.origin) == get()


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("MIXER_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "mixer"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "mixer"
    monkeypatch.setenv("MIXER_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"


@pytest.fixture
def asked(monkeypatch):
    """The (model, pretrained) that timm is asked for; it gives random weights."""
    asked, create = [], timm.create_model

    def random_weights(name, pretrained, **options):
        asked.append((name, pretrained))
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", random_weights)
    return asked


def test_tags_of_timm(asked):
    create_backbone("mixer_b16", 224, weights="timm:goog_in21k")
    create_backbone("timm:resnet18", 32, weights="timm:a1_in1k")
    create_backbone("timm:resnet18.a1_in1k", 32, weights="timm")
    create_backbone("timm:resnet18.a1_in1k", 32, weights="timm:a2_in1k")
    create_backbone("timm:resnet18.a1_in1k", 32)
    assert asked == [
        ("mixer_b16_224.goog_in21k", True),
        ("resnet18.a1_in1k", True),
        ("resnet18.a1_in1k", True),
        ("resnet18.a2_in1k", True),
        ("resnet18.a1_in1k", False),
    ]


def test_tags_that_timm_does_not_have():
    for name, weights in (("mixer_b16", "timm:jft"), ("timm:mixer_b16_224.jft", None)):
        with pytest.raises(InputError, match=r"'mixer_b16_224\.jft'; tags of .*goog_in21k"):
            create_backbone(name, 224, weights=weights)
    with pytest.raises(InputError, match="tags of this model: none"):
        create_backbone("mixer_s32", 224, weights="timm:goog_in21k")


def test_weights_for_another_normalization_do_not_go_into_a_mixer(asked):
    with pytest.raises(InputError, match=r"miil_in21k expects.*create_backbone\('timm:mixer_b16"):
        create_backbone("mixer_b16", 224, weights="timm:miil_in21k")


def test_a_tag_is_no_other_model(tmp_path, asked):
    tagged = create_backbone("timm:resnet18.a1_in1k", 32)
    folder = save_backbone(tagged, tmp_path / "tagged")
    assert create_backbone("timm:resnet18", 32, weights=folder).name == "timm:resnet18.a1_in1k"
