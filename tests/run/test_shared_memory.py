"""`esa.run.shared_memory`: what is unpacked is what was packed, wherever its arrays went."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from esa.run.shared_memory import AREA, Message, Slots, pack, unpack

CONTENT = {
    "odd": np.arange(7, dtype=np.uint8),
    "long": np.arange(1000, dtype=np.int64),
    "none": np.empty(0, np.float32),
    "columns": np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4)),
    "every other": np.arange(20)[::2],
    "text": "abc",
}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    assert list(one) == list(other)
    return all(
        np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype
        for a, b in zip(one.values(), other.values(), strict=True)
    )


@pytest.mark.parametrize("slot", [0, 2])
@pytest.mark.parametrize("copy", [False, True])
def test_arrays_go_through_an_area(slot: int, copy: bool) -> None:
    area = Slots(3).area(slot, back=True)
    message = pack(CONTENT, area)
    assert len(message.pickled) < 2000
    found = unpack(message, area, copy)
    assert same(found, CONTENT)
    assert all(array.ctypes.data % array.itemsize == 0 for array in (found["odd"], found["long"]))
    area[:] = bytes(len(area))
    assert found["long"].any() == copy


@pytest.mark.parametrize("size", [None, 100], ids=["no area", "small area"])
def test_what_has_no_room_is_pickled(size: int | None) -> None:
    area = None if size is None else memoryview(bytearray(size))
    message = pack(CONTENT, area)
    assert message.extents is None
    assert same(unpack(message, area, copy=False), CONTENT)


def test_areas_are_apart_and_shared_with_what_is_forked() -> None:
    slots = Slots(2)
    areas = [slots.area(slot, back) for slot in range(2) for back in (False, True)]
    assert slots.area(None, back=False) is None
    for i, area in enumerate(areas):
        assert len(area) == AREA
        area[0] = area[-1] = i
    child = os.fork()
    if not child:
        areas[2][0] = 77
        os._exit(0)
    os.waitpid(child, 0)
    assert [(area[0], area[-1]) for area in areas] == [(0, 0), (1, 1), (77, 2), (3, 3)]


def test_the_last_byte_of_an_area_is_used() -> None:
    area = memoryview(bytearray(256))
    for length, fits in ((256, True), (257, False)):
        message: Message = pack(np.ones(length, np.uint8), area)
        assert (message.extents is not None) == fits
        assert unpack(message, area, copy=True).sum() == length
