"""Lists of paintings, and who of them validates: by class, by artist."""

import os
from pathlib import Path

import numpy as np
import pytest

from apps.style.config import DataConfig
from apps.style.data.dataset import open_paintings
from apps.style.data.files import CORRUPT
from apps.style.data.lists import artist_of, read_lists
from apps.style.data.protocols import SMALL, STYLES
from apps.style.data.splits import artist_split, long_tailed
from core import InputError

COUNTS = {  # of ArtGAN's lists: paintings to train on, and to validate
    "Abstract_Expressionism": (1948, 834),
    "Action_painting": (69, 29),
    "Analytical_Cubism": (77, 33),
    "Art_Nouveau": (3034, 1300),
    "Baroque": (2969, 1272),
    "Color_Field_Painting": (1131, 484),
    "Contemporary_Realism": (337, 144),
    "Cubism": (1565, 670),
    "Early_Renaissance": (974, 417),
    "Expressionism": (4716, 2020),
    "Fauvism": (654, 280),
    "High_Renaissance": (941, 402),
    "Impressionism": (9142, 3918),
    "Mannerism_Late_Renaissance": (896, 383),
    "Minimalism": (936, 401),
    "Naive_Art_Primitivism": (1684, 721),
    "New_Realism": (220, 94),
    "Northern_Renaissance": (1787, 765),
    "Pointillism": (360, 153),
    "Pop_Art": (1039, 444),
    "Post_Impressionism": (4516, 1935),
    "Realism": (7514, 3219),
    "Rococo": (1463, 626),
    "Romanticism": (4914, 2105),
    "Symbolism": (3170, 1358),
    "Synthetic_Cubism": (152, 64),
    "Ukiyo_e": (817, 350),
}


TRAIN, VAL = (list(counts) for counts in zip(*COUNTS.values(), strict=True))


@pytest.fixture(scope="module")
def real_lists():
    folder = Path(os.environ.get("MIXER_TEST_DATA", "")) / "wikiart_lists" / "Style"
    if not os.environ.get("MIXER_TEST_DATA") or not folder.is_dir():
        pytest.skip("MIXER_TEST_DATA names no folder with ArtGAN's lists in wikiart_lists/Style")
    return read_lists(folder)


def test_the_real_lists_have_the_known_counts(real_lists):
    assert real_lists.classes == list(STYLES) == list(COUNTS)
    for side, counts in (("train", TRAIN), ("val", VAL)):
        on_side = np.array(real_lists.sides) == side
        assert np.bincount(np.array(real_lists.labels)[on_side]).tolist() == counts
    assert set(CORRUPT) < set(real_lists.paths)
    assert round(100 * max(VAL) / sum(VAL), 2) == 16.04
    sizes = dict(zip(STYLES, np.add(TRAIN, VAL), strict=True))
    assert {name for name, size in sizes.items() if size < 520} == set(SMALL)


def test_the_real_artists_are_on_both_sides_until_they_are_divided(real_lists):
    artists = np.array([artist_of(path) for path in real_lists.paths])
    sides = np.array(real_lists.sides)
    train, val = set(artists[sides == "train"]), set(artists[sides == "val"])
    assert (len(val), len(val & train)) == (1076, 1064)
    drawn, one_sided = artist_split(artists, real_lists.labels, 0.3, 0)
    assert not set(artists[drawn]) & set(artists[~drawn])
    assert one_sided == []
    assert abs(drawn.mean() - 0.3) < 0.01
    shares = [drawn[np.equal(real_lists.labels, c)].mean() for c in range(27)]
    assert min(shares) > 0.15  # where few artists painted most of a class it cannot be 0.3
    assert max(shares) < 0.6
    assert sorted(shares)[4:-4] == pytest.approx([0.3] * 19, abs=0.02)


def test_artist_splits_of_a_small_list():
    artists = ["a", "a", "b", "c", "d", "d", "e", "f", "g", "g", "h"] * 2
    labels = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3] * 2  # class 3 has the one artist h
    splits = [artist_split(artists, labels, 0.3, seed)[0].tolist() for seed in range(5)]
    assert len(set(map(tuple, splits))) > 1  # the seed draws another
    for seed in range(5):
        val, one_sided = artist_split(artists, labels, 0.3, seed)
        again, _ = artist_split(artists, labels, 0.3, seed)
        assert (val == again).all()
        sides = {artist: set(val[np.array(artists) == artist]) for artist in artists}
        assert all(len(side) == 1 for side in sides.values())
        assert sides["h"] == {False}  # what cannot be divided trains
        assert one_sided == [3]
        assert all(len(set(val[np.array(labels) == c])) == 2 for c in (0, 1, 2))


def test_artist_splits_are_as_good_as_the_best_of_all():
    rng = np.random.default_rng(3)
    artists, labels = rng.integers(0, 10, 150), rng.integers(0, 4, 150)
    labels = np.where(artists == 9, 4, labels)

    def badness(val):
        shares = [val[labels == c].mean() for c in range(4)]
        return sum((share - 0.3) ** 2 for share in shares)

    ways = [np.array([(way >> a) & 1 for a in range(10)], bool)[artists] for way in range(1024)]
    best = min(badness(val) for val in ways)
    found = [badness(artist_split(artists, labels, 0.3, seed)[0]) for seed in range(5)]
    assert min(found) < best + 0.02
    assert max(found) < np.median([badness(val) for val in ways])


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_a_share_has_two_sides(share):
    with pytest.raises(InputError, match=r"data\.val_share is"):
        open_paintings(DataConfig(root="paintings", split="artist", val_share=share), "train")


def test_a_long_tail_falls_by_the_same_factor_from_class_to_class():
    labels = np.repeat([0, 1, 2, 4], [80, 80, 80, 3])
    kept = long_tailed(labels, 27.0, 5)
    assert np.bincount(labels[kept]).tolist() == [80, 27, 9, 0, 3]
    assert (np.diff(kept) > 0).all()
    assert (kept == long_tailed(labels, 27.0, 5)).all()
    assert (kept != long_tailed(labels, 27.0, 6)).any()
    assert np.bincount(long_tailed([0] * 5 + [1] * 5, 100.0, 0) // 5).tolist() == [5, 1]


def test_a_share_of_the_training_paintings_validates(paintings):
    whole = open_paintings(DataConfig(root=str(paintings)), "train")
    config = DataConfig(root=str(paintings), tune_share=0.3)
    train, tuning = (open_paintings(config, split) for split in ("train", "val"))
    names = [[images.read(i) for i in range(len(images))] for images in (whole, train, tuning)]
    assert sorted(names[1] + names[2]) == sorted(names[0])
    assert sorted(tuning.labels) == list(range(len(tuning.classes)))  # one of three of each style
    assert train.classes == tuning.classes == whole.classes
    with pytest.raises(InputError, match="tune_share are of paintings that are no stream"):
        open_paintings(DataConfig("hub:x#style", stream=True, tune_share=0.3), "train")
