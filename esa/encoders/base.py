"""What an encoder is: a map from fragments to vectors."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from esa.fragments.base import Fragments


class Encoder(Protocol):
    """Embeds fragments. The same fragment gives the same vector, whatever stands beside it in the batch."""

    name: ClassVar[str]

    @property
    def dimensions(self) -> int:
        """Components of an embedding."""

    def embed(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[Any]:
        """``[len(fragments), dimensions]``: ``int16`` of a code encoder, unit ``float32`` of a dense one."""

    def calibrated(self, codes: NDArray[np.uint8], fragments: Fragments) -> Encoder:
        """This encoder fitted to a sample of a reference's fragments, or itself where there is nothing to fit."""

    def parameters(self) -> dict[str, Any]:
        """What the index manifest records (JSON)."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights that the index keeps."""
