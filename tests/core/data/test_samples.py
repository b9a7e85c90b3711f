"""Evenly spaced samples, and views of a data set with a transform of their own."""

import numpy as np
import pytest
from torch.utils.data import Dataset, Subset

from core import InputError
from core.data.samples import evenly_spaced, stratified_split, tuning_split, with_transform


@pytest.mark.parametrize(
    ("length", "count", "places"),
    [
        (10, 4, [0, 3, 6, 9]),
        (5, 5, [0, 1, 2, 3, 4]),
        (3, 8, [0, 1, 2]),
        (9, 1, [0]),
        (9, 0, []),
        (0, 4, []),
        (100, 2, [0, 99]),
    ],
)
def test_evenly_spaced(length, count, places):
    assert evenly_spaced(length, count) == places


def test_no_sample_twice():
    for length in range(1, 40):
        for count in range(1, length + 1):
            places = evenly_spaced(length, count)
            assert len(set(places)) == count
            assert places == sorted(places)
            assert all(type(place) is int for place in places)


def test_settings_are_chosen_by_a_share_that_does_not_train():
    train, tuning = tuning_split([0] * 7 + [1] * 3, 0.3)
    assert sorted(train + tuning) == list(range(10))
    assert [sum(place < 7 for place in tuning), len(tuning)] == [2, 3]
    with pytest.raises(InputError, match="of 2 training samples no class has two"):
        tuning_split([0, 1], 0.3)


def test_stratified_splits_have_their_share_of_each_class():
    labels = np.repeat([0, 1, 2, 3], [100, 10, 2, 1])
    val = stratified_split(labels, 0.3, 5)
    assert [int(val[labels == c].sum()) for c in range(4)] == [30, 3, 1, 0]
    assert (val == stratified_split(labels, 0.3, 5)).all()
    assert (val != stratified_split(labels, 0.3, 6)).any()
    for share in (0.1, 0.9):  # however small or large: two are one on each side, one trains
        val = stratified_split(labels, share, 5)
        assert [int(val[labels == c].sum()) for c in (2, 3)] == [1, 0]


class Numbers(Dataset):
    def __init__(self, transform=None):
        self.transform, self.values = transform, list(range(10))

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return self.transform(self.values[index]) if self.transform else self.values[index]


class InTurn(Dataset):
    """Reads a stream in turn, and keeps where it is."""

    def __init__(self, stream):
        self.stream, self.samples = stream, iter(range(len(stream)))

    def __getitem__(self, index):
        return self.stream[next(self.samples)]


def test_a_view_leaves_the_data_set_alone():
    numbers = Numbers(str)
    squares, plain = with_transform(numbers, lambda n: n * n), with_transform(numbers, None)
    assert (numbers[3], squares[3], plain[3]) == ("3", 9, 3)
    assert len(squares) == 10
    assert squares.values is numbers.values  # nothing is read again
    assert with_transform(squares, str)[4] == "4"


def test_a_view_of_a_subset():
    part = Subset(Subset(Numbers(str), [5, 6, 7]), [2, 0])
    view = with_transform(part, lambda n: -n)
    assert [view[i] for i in range(len(view))] == [-7, -5]
    assert [part[i] for i in range(len(part))] == ["7", "5"]


def test_a_view_of_a_stream_read_in_turn_begins_anew():
    stream = InTurn(Numbers(str))
    assert [stream[0], stream[1]] == ["0", "1"]
    view = with_transform(stream, None)
    assert [view[0], stream[2], view[1]] == [0, "2", 1]


def test_what_has_no_transform():
    with pytest.raises(TypeError, match="list has no transform"):
        with_transform([1, 2], str)
