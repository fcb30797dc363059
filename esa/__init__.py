"""esa: embed, search, align. DNA read alignment by nearest-neighbour search over embeddings."""

__version__ = "0.1.0"
