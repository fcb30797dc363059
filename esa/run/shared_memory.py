"""Objects that hold large arrays, between processes: the arrays through memory that these share, the rest by pickle.

Through a pipe, as `multiprocessing` has it, both ends copy each array several times, 64 KB at a time.
"""

from __future__ import annotations

import mmap
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np

AREA = 16 << 20
"""Bytes of an area; those that nothing is written to take no memory. What is larger goes through the pipe."""

_PROTOCOL = 5
"""Of pickle: the first that leaves buffers out (PEP 574)."""
_ALIGNED = 64
"""Bytes: an array begins at a multiple."""


@dataclass(frozen=True)
class Message:
    """An object without its large arrays.

    Attributes:
        pickled: the object.
        extents: begin and end of each array in the area; None: they are in ``pickled``.
    """

    pickled: bytes
    extents: tuple[tuple[int, int], ...] | None


class Slots:
    """Areas of memory, two a slot: one for what is sent, one for what comes back. Forked processes share them."""

    def __init__(self, count: int) -> None:
        self._areas = memoryview(mmap.mmap(-1, 2 * count * AREA))

    def area(self, slot: int | None, back: bool) -> memoryview | None:
        """One of a slot's areas; None of none."""
        if slot is None:
            return None
        begin = (2 * slot + back) * AREA
        return self._areas[begin : begin + AREA]


def pack(content: object, area: memoryview | None) -> Message:
    """Put an object's arrays into an area, over what was there; None: there is none."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(content, _PROTOCOL, buffer_callback=buffers.append)
    arrays = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
    extents = []
    end = 0
    for array in arrays:
        begin = -(-end // _ALIGNED) * _ALIGNED
        end = begin + len(array)
        extents.append((begin, end))
    if area is None or end > len(area):
        return Message(pickle.dumps(content, _PROTOCOL), None)
    for (begin, end), array in zip(extents, arrays, strict=True):
        # numpy gives the lock away while it copies.
        np.frombuffer(area[begin:end], np.uint8)[:] = array
    return Message(pickled, tuple(extents))


def unpack(message: Message, area: memoryview | None, copy: bool) -> Any:
    """The object; unless its arrays are a ``copy``, they change with the area."""
    if message.extents is None:
        return pickle.loads(message.pickled)
    assert area is not None
    views = (np.frombuffer(area[begin:end], np.uint8) for begin, end in message.extents)
    return pickle.loads(message.pickled, buffers=[view.copy() if copy else view for view in views])
