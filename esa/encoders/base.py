"""The interface of an encoder, a map from fragments to vectors."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from esa.fragments.base import Fragments


class Encoder(Protocol):
    """Embeds fragments. A fragment's vector does not depend on the other fragments of the batch."""

    name: ClassVar[str]

    @property
    def dimensions(self) -> int:
        """Components of an embedding."""

    def embed(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[Any]:
        """Embed fragments.

        Args:
            codes: ``uint8[bases]``, base codes (`esa.sequence.dna`) that the fragments are windows of.
            fragments: n windows.

        Returns:
            ``[n, dimensions]``: ``int16`` of a code encoder, unit vectors in ``float32`` of a dense one.
        """

    def calibrated(self, codes: NDArray[np.uint8], fragments: Fragments) -> Encoder:
        """This encoder fitted to a sample of a reference's fragments, or itself if it fits nothing."""

    def parameters(self) -> dict[str, Any]:
        """Parameters for the index manifest (JSON)."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights that the index keeps on disk, by name."""
