"""Paintings from wherever they lie, and what can be wrong with their lists."""

import os
import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from apps.style.data.dataset import class_counts
from apps.style.data.files import CORRUPT
from apps.style.data.lists import artist_of, read_csv
from apps.style.data.protocols import SMALL, STYLES, protocol
from core import InputError
from tests.apps.style.helpers import opened, painting, paths, write_artgan
from tests.core.data.stream_toy import write_parquet


def test_only_training_paintings_are_thinned(tmp_path):
    write_artgan(tmp_path)
    fields = {"root": str(tmp_path), "long_tail": 3.0}
    assert class_counts(opened("train", **fields)).tolist() == [6, 2]
    assert class_counts(opened("val", **fields)).tolist() == [3, 3]
    with pytest.raises(InputError, match=r"data\.long_tail is 0\.5; choose 1 or more"):
        opened("train", root=str(tmp_path), long_tail=0.5)
    with pytest.raises(InputError, match="no stream"):
        opened("train", stream=True, **fields)


def test_an_artgan_copy_takes_its_classes_from_the_lists(tmp_path):
    root = str(write_artgan(tmp_path))
    train, val = opened(root=root), opened("val", root=root)
    assert train.classes == val.classes == ["Art_Nouveau", "Baroque"]
    assert class_counts(train).tolist() == [6, 6]
    assert class_counts(val).tolist() == [3, 3]
    assert {os.path.basename(os.path.dirname(p)) for p in paths(val)[:3]} == {"Art_Nouveau_Modern"}
    assert train[0]["image"].size == (24, 16)
    assert train[7]["label"] == 1
    (tmp_path / "Style").rename(tmp_path / "lists")
    (tmp_path / "all").mkdir()
    for folder in ("Art_Nouveau_Modern", "Baroque"):
        (tmp_path / folder).rename(tmp_path / "all" / folder)
    apart = opened(root=f"{tmp_path}/all", lists=f"{tmp_path}/lists")
    assert apart.names == train.names


def test_splits_of_one_copy_do_not_overlap(tmp_path):
    root = str(write_artgan(tmp_path))
    for split in ("stratified", "artist"):
        sides = [opened(side, root=root, split=split, val_share=0.4) for side in ("train", "val")]
        train, val = (set(paths(images)) for images in sides)
        assert len(train) + len(val) == 18
        assert not train & val
    assert not {artist_of(p) for p in train} & {artist_of(p) for p in val}
    assert sides[0].source != sides[1].source


def test_known_broken_files_are_left_out_once(tmp_path):
    root = write_artgan(tmp_path)
    with open(root / "Style/style_train.csv", "a") as file:
        file.write(f"{CORRUPT[0]},1\n")  # it does not even have to be there
    told = []
    assert class_counts(opened(root=str(root), report=told.append)).tolist() == [6, 6]
    opened("val", root=str(root), report=told.append)
    assert len(told) == 1
    assert "rembrandt_woman-standing-with-raised-hands.jpg" in told[0]


@pytest.mark.parametrize("instead", [lambda path: None, Path.mkdir, lambda p: p.symlink_to(p)])
def test_missing_files(tmp_path, instead):
    """A folder and a link to itself are no files."""
    root = write_artgan(tmp_path)
    for number in (0, 4):
        path = root / f"Baroque/artist-{number % 3}_train-{number}.jpg"
        path.unlink()
        instead(path)
    with pytest.raises(InputError, match=r"2 of 12 listed files .*artist-0_train-0\.jpg"):
        opened(root=str(root), skip_bad=1)
    told = []
    images = opened(root=str(root), skip_bad=2, report=told.append)
    assert class_counts(images).tolist() == [6, 4]
    assert [line.split("/")[-1] for line in told] == [
        "artist-0_train-0.jpg is missing",
        "artist-1_train-4.jpg is missing",
    ]


def test_protocols(tmp_path):
    assert len(protocol(27)) == 27
    assert len(protocol(21)) == 21
    assert not set(protocol(21)) & set(SMALL)
    root = str(write_artgan(tmp_path / "all", STYLES, 4, 2))
    val = {n: opened("val", root=root, classes=n, split="stratified") for n in (0, 21, 27)}
    assert val[0].classes == val[27].classes == list(STYLES)
    assert paths(val[0]) == paths(val[27])
    assert val[21].classes == protocol(21)
    small = {"Art_Nouveau_Modern" if name == "Art_Nouveau" else name for name in SMALL}
    kept = [path for path in paths(val[27]) if path.split(os.sep)[-2] not in small]
    assert paths(val[21]) == kept
    labels = [val[21].classes[label] for label in val[21].labels]
    folders = [path.split(os.sep)[-2].replace("Nouveau_Modern", "Nouveau") for path in kept]
    assert labels == folders


def test_csv_files(tmp_path):
    rows = ["path,note,class,split", "a/1.jpg,x,Realism,train", "a/2.jpg,,Baroque,train"]
    rows += ["b/3.jpg,x,Realism,val"]
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(painting(1))
    (tmp_path / "list.csv").write_text("\n".join(rows))
    file, told = f"{tmp_path}/list.csv", []
    train, val = opened(csv=file), opened("val", csv=file, report=told.append)
    assert train.classes == val.classes == ["Baroque", "Realism"]
    assert (train.labels, val.labels) == ([1, 0], [1])
    assert train[1]["image"].mode == "RGB"
    assert "no validation image of Baroque" in told[0]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "list.csv").rename(tmp_path / "elsewhere/list.csv")
    moved = opened(csv=f"{tmp_path}/elsewhere/list.csv", root=str(tmp_path))
    assert paths(moved) == paths(train)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,class,split\na.jpg,Realism,holdout\n", r"line 2: unknown split 'holdout'"),
        (
            "path,kind\na.jpg,Realism\n",
            r"no column 'class' \(class, style.*'kind'",
        ),
        (
            "picture,class\na.jpg,Realism\n",
            r"no column 'path' \(path, file.*'picture'",
        ),
        ("path,class\na.jpg,Pop_Art\nb.jpg,pop art\n", "'Pop_Art' and 'pop art' are two classes"),
        ("path,class\na.jpg,\n", "line 2: class is empty"),
        ("path,class,split\na.jpg,Realism\n", "line 2: split is empty"),
        (
            "path,class\na.jpg,Realism\n\na.jpg,Rococo\n",
            "a.jpg is listed twice, in lines 2 and 4, as Realism and Rococo: keep one line",
        ),
        (
            "path,class,split\na.jpg,Realism,train\nb.jpg,Rococo,train\na.jpg,Realism,val\n",
            "a.jpg is listed twice, in lines 2 and 4, as Realism, train and Realism, val",
        ),
        ("path,class\na.jpg,Realism\na.jpg,Realism\n", "in lines 2 and 3: keep one line"),
        ("path,class\na.jpg,Realism\n", "no column split: --data.split stratified"),
        ("path,class,split\na.jpg,Realsm,train\n", r"'Realsm' is none of .* Did you mean Realism"),
        ("", "no column 'path'"),
        ("path,class,split\n", "lists no painting"),
    ],
)
def test_bad_csv_files(tmp_path, text, words):
    (tmp_path / "list.csv").write_text(text)
    (tmp_path / "a.jpg").write_bytes(painting(1))
    with pytest.raises(InputError, match=words) as error:
        opened(csv=f"{tmp_path}/list.csv", classes=27)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("style_class.txt", None, "style_class.txt is missing"),
        ("style_class.txt", "0 A\n2 B\n", "its lines are `0 Name`"),
        ("style_class.txt", "0 A\n1 A\n", "A is listed twice"),
        ("style_class.txt", "0 A\n1 B\n2 C\n", "class C of style_class.txt is empty"),
        ("style_val.csv", "x/y.jpg,7\n", "line 1: 'x/y.jpg,7' is not"),
        ("style_val.csv", "x/y.jpg\n", "line 1: 'x/y.jpg' is not"),
        ("style_val.csv", "Baroque/artist-0_train-0.jpg,1\n", "train-0.jpg is listed twice"),
        ("style_train.csv", "Baroque/artist-0_train-0.jpg,1\n", "no image of 1 of 2 .*Art_Nouveau"),
    ],
)
def test_bad_lists(tmp_path, file, text, words):
    root = write_artgan(tmp_path)
    (root / "Style" / file).unlink()
    if text is not None:
        (root / "Style" / file).write_text(text)
    with pytest.raises(InputError, match=words):
        opened(root=str(root), lists=str(root / "Style"))


def test_a_folder_of_paintings_that_no_list_has(tmp_path):
    root = write_artgan(tmp_path)
    (root / "Genre").mkdir()
    (root / "Genre/genre_train.csv").write_text("")  # of ArtGAN's other lists: no image
    assert len(opened(root=str(root))) == 12
    (root / "Surrealism").mkdir()
    (root / "Surrealism/salvador-dali_clocks.jpg").write_bytes(painting(1))
    with pytest.raises(InputError, match="Surrealism holds images and is in no list"):
        opened(root=str(root))


def test_image_folders(tmp_path):
    for name in ("train/b/x_1.png", "train/a/x_2.png", "train/a/y_3.png", "val/b/x_4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(painting(1, "PNG"))
    train, val = opened(root=str(tmp_path)), opened("val", root=str(tmp_path), report=list)
    assert train.classes == val.classes == ["a", "b"]
    assert (train.names, val.labels) == (["x_2.png", "y_3.png", "x_1.png"], [1])
    with pytest.raises(InputError, match="has no official split"):
        opened(root=f"{tmp_path}/train")
    drawn = [opened(s, root=str(tmp_path), split="artist", report=list) for s in ("train", "val")]
    assert [images.names for images in drawn] == [["x_2.png", "x_1.png"], ["y_3.png"]]
    (tmp_path / "val/c").mkdir()
    with pytest.raises(InputError, match="1 of 2 class folders hold no image"):
        opened("val", root=str(tmp_path))
    with pytest.raises(InputError, match="'a' is none of WikiArt's 27 styles"):
        opened(root=str(tmp_path / "train"), split="stratified", classes=21)
    (tmp_path / "train/a/nobody.png").write_bytes(painting(1, "PNG"))
    with pytest.raises(InputError, match=r"nobody\.png does not name its artist"):
        opened(root=str(tmp_path), split="artist")


def test_what_is_opened_can_go_to_loader_processes(tmp_path):
    (tmp_path / "hub").mkdir()
    sources = [{"root": str(write_artgan(tmp_path / "a")), "split": "artist"}]
    sources += [{"root": write_parquet(tmp_path / "hub", [9]), "split": "stratified"}]
    for source in sources:
        images = opened(**source)
        other = pickle.loads(pickle.dumps(images))
        assert np.array_equal(np.asarray(other[3]["image"]), np.asarray(images[3]["image"]))


@pytest.mark.parametrize(
    ("head", "between", "mark"),
    [
        ("path,class,split", ",", "utf-8"),
        ("Path;Style;Split", ";", "utf-8-sig"),
        ("file_name\tlabel\tsubset", "\t", "utf-16"),
        (" image , class , set ", ",", "utf-8"),
    ],
)
def test_csv_files_as_spreadsheets_write_them(tmp_path, head, between, mark):
    rows = [("a.jpg", "Realism", "Train"), ("b.jpg", "Baroque", "training")]
    rows += [("c.jpg", "Realism", "validation"), ("d.jpg", "Baroque", "val")]
    text = "\r\n".join([head, *map(between.join, rows)]) + "\r\n"
    (tmp_path / "list.csv").write_bytes(text.encode(mark))
    listing = read_csv(tmp_path / "list.csv")
    assert listing.paths == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert (listing.classes, listing.labels) == (["Baroque", "Realism"], [1, 0, 1, 0])
    assert listing.sides == ["train", "train", "val", "val"]


def test_a_column_that_is_there_twice_is_asked_about(tmp_path):
    (tmp_path / "list.csv").write_text("path,class,class\na.jpg,Realism,Baroque\n")
    with pytest.raises(InputError, match=r"list\.csv has several columns 'class': which of them"):
        read_csv(tmp_path / "list.csv")


def test_names_that_other_systems_spell_or_cut_differently(tmp_path):
    """Accents in one code point in the list and two on the disk, or the reverse; U+2028, U+0085."""
    names = ["caf\u00e9_a.jpg", "cafe\u0301_b.jpg", "a\u2028b_c.jpg", "a\u0085b_d.jpg"]
    forms = dict(zip(names, ("NFD", "NFC", "NFC", "NFC"), strict=True))
    for name, form in forms.items():
        (tmp_path / unicodedata.normalize(form, name)).write_bytes(painting(1))
    rows = [f"{name},Realism,{side}" for name in names for side in ("train",)]
    (tmp_path / "list.csv").write_text("\n".join(["path,class,split", *rows]), encoding="utf-8")
    images = opened(csv=f"{tmp_path}/list.csv")
    assert [images[i]["label"] for i in range(4)] == [0] * 4


def test_an_artgan_copy_of_another_system(tmp_path):
    root = write_artgan(tmp_path)
    text = (root / "Style/style_train.csv").read_text().replace("artist-0", "andre\u0301")
    (root / "Style/style_train.csv").write_text(unicodedata.normalize("NFC", text))
    for path in [*root.glob("*/artist-0_train*")]:
        path.rename(path.with_name(path.name.replace("artist-0", "andre\u0301")))
    assert class_counts(opened(root=str(root))).tolist() == [6, 6]


def test_classes_of_a_csv_that_differ_in_spelling_alone(tmp_path):
    file = tmp_path / "list.csv"
    for one, other in (("Art Nouveau", "art_nouveau"), ("Caf\u00e9", "Cafe\u0301")):
        file.write_text(f"path,class\na.jpg,{one}\nb.jpg,{other}\n", encoding="utf-8")
        with pytest.raises(InputError, match="two classes that differ in spelling alone"):
            read_csv(file)
    file.write_text("path,class\na.jpg,A+\nb.jpg,A-\nc.jpg,C\nd.jpg,C#\n", encoding="utf-8")
    assert read_csv(file).classes == ["A+", "A-", "C", "C#"]  # signs are no spelling
