"""Messages between processes: objects whose large arrays go through shared memory, the rest by pickle.

Through a pipe, as in `multiprocessing`, both ends copy each array several times, 64 KB at a time.
"""

from __future__ import annotations

import mmap
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np

AREA = 16 << 20
"""Bytes of an area; pages that are never written take no memory. Larger messages go through the pipe."""

_PROTOCOL = 5
"""Protocol of pickle: the first with out-of-band buffers (PEP 574)."""
_ALIGNED = 64
"""Arrays begin at multiples of this number of bytes."""


@dataclass(frozen=True)
class Message:
    """A pickled object without its large arrays.

    Attributes:
        pickled: the object.
        extents: begin and end of each array in the area, in bytes; None: the arrays are in ``pickled``.
    """

    pickled: bytes
    extents: tuple[tuple[int, int], ...] | None


class Slots:
    """Areas of memory that forked processes share, two a slot: one for the call, one for its result."""

    def __init__(self, count: int) -> None:
        self._areas = memoryview(mmap.mmap(-1, 2 * count * AREA))

    def area(self, slot: int | None, back: bool) -> memoryview | None:
        """The area of a slot for calls, or for results (``back``); None for no slot."""
        if slot is None:
            return None
        begin = (2 * slot + back) * AREA
        return self._areas[begin : begin + AREA]


def pack(content: object, area: memoryview | None) -> Message:
    """Write an object's arrays into an area, over its former content. No area: they are pickled."""
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
        # numpy releases the GIL while it copies.
        np.frombuffer(area[begin:end], np.uint8)[:] = array
    return Message(pickled, tuple(extents))


def unpack(message: Message, area: memoryview | None, copy: bool) -> Any:
    """The object; without ``copy`` its arrays are views of the area."""
    if message.extents is None:
        return pickle.loads(message.pickled)
    assert area is not None
    views = (np.frombuffer(area[begin:end], np.uint8) for begin, end in message.extents)
    return pickle.loads(message.pickled, buffers=[view.copy() if copy else view for view in views])
