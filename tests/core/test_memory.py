"""What cannot fit into memory is refused before it is made, and what can be done is not."""

import json
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core import create_backbone, load_backbone
from core.app.starting import check_start
from core.errors import InputError
from core.files import check_archive
from core.memory import check_image, check_memory
from core.models.classifier import create_classifier
from core.training.optim import OptimConfig

GIB = 2**30


@pytest.fixture
def machine(monkeypatch):
    """A laptop of 8 GiB, without a GPU."""
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=8 * GIB))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.usefixtures("machine")
def test_more_than_all_there_is_is_refused():
    check_memory(8 * GIB, "x", "y")
    with pytest.raises(InputError, match=r"^x takes 9\.0 GiB .* there are 8\.0: y$"):
        check_memory(9 * GIB, "x", "y")
    with pytest.raises(InputError, match=r"there are 4\.0"):
        check_memory(5 * GIB, "x", "y", room=4 * GIB)
    check_image("size", (4096, 8192))
    with pytest.raises(InputError, match=r"^size 20000x20000: one such image takes 35\.8 GiB"):
        check_image("size", (20_000, 20_000))


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("name", "size"), [("mixer_b16", 224), ("mixer_l16", 224)])
def test_the_networks_of_the_paper_train_on_a_laptop(name, size):
    check_start(lambda: create_classifier(name, size, 1000), OptimConfig())


@pytest.mark.usefixtures("machine")
def test_a_network_that_fits_may_still_not_train():
    def build():  # weights of 3.8 GiB
        return create_classifier("mixer_c4000_l8_p16", 64, 2)

    check_start(build, OptimConfig(name="sgd"))
    with pytest.raises(InputError, match=r"^training a network of .* takes 15\.\d GiB"):
        check_start(build, OptimConfig())


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("width", [20_000, 999_999_999])
def test_a_backbone_is_asked_for_its_size_before_it_is_made(width):
    with pytest.raises(InputError, match=rf"^mixer_c{width}_l2_p8 at 32x32 takes .* GiB"):
        create_backbone(f"mixer_c{width}_l2_p8", 32)


@pytest.mark.usefixtures("machine")
def test_a_file_that_describes_one_too_large(tmp_path):
    create_backbone("mixer_c16_l1_p8", 32).save_pretrained(tmp_path / "a")
    info = json.loads((tmp_path / "a/config.json").read_text())
    info["backbone"] |= {"hidden_dim": 99_999, "channels_mlp_dim": 99_999}
    (tmp_path / "a/config.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match=r"a Mixer of MixerConfig.*hidden_dim=99999.* takes"):
        load_backbone(tmp_path / "a")


@pytest.mark.usefixtures("machine")
def test_a_size_that_a_mixer_cannot_move_to():
    network = create_backbone("mixer_c256_l8_p8", 32)
    with pytest.raises(InputError, match=r"^this Mixer at 8192x8192 takes .* GiB"):
        network.set_image_size(8_192)
    assert network.image_size == (32, 32)


@pytest.mark.parametrize(
    ("unpacked", "said"), [(3_600_000_000, "3.6 GB unpacked"), (9e8, "0.8 GiB")]
)
def test_an_archive_is_asked_for_its_size_before_it_is_read(tmp_path, monkeypatch, unpacked, said):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=GIB // 2))
    path = tmp_path / "a.npz"
    np.savez(path, points=np.zeros((4, 3)))
    check_archive(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\1\2") + 24  # of the size unpacked, in the zip's directory
    struct.pack_into("<I", content, place, int(unpacked))
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"a.npz.*{said}"):
        check_archive(path)


def test_what_has_no_numbers_needs_no_memory():
    with torch.device("meta"):
        assert create_backbone("mixer_c99999_l2_p8", 32).num_features == 99_999


AGAIN = """
import resource, sys
import torch
from core.memory import keep_freed_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        kept = [torch.ones(6_000_000) for _ in range(12)]
        del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if not keep_freed_memory():
    sys.exit("not glibc")
faults(2)
print(faults(10))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_memory_that_was_freed_is_taken_again():
    """Twelve of 24 MB are 70,312 pages; ten times new ones would be 703,000 faults."""
    done = subprocess.run([sys.executable, "-c", AGAIN], capture_output=True, text=True)
    if "not glibc" in done.stderr:
        pytest.skip("not glibc")
    assert int(done.stdout) < 70_000, done.stderr
