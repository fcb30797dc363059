"""The errors a user can meet. One boundary (`esa.cli.main`) turns them into a message and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

EXIT_DATA = 1
EXIT_USAGE = 2
EXIT_SIGINT = 130
EXIT_BROKEN_PIPE = 141


class EsaError(Exception):
    """Bad data or environment. The message names the file, the record or line, and the remedy."""

    exit_code = EXIT_DATA


class UsageError(EsaError):
    """A command line that cannot be right, whatever the files hold."""

    exit_code = EXIT_USAGE


class FastaError(EsaError):
    """A reference FASTA that cannot be indexed."""


class ReadsError(EsaError):
    """A read file (FASTQ or FASTA) that is malformed or does not match its mate."""


class IndexFormatError(EsaError):
    """An index directory that is missing, of another version, truncated or altered."""


class OutputError(EsaError):
    """An output that cannot be written."""


EXTRAS = {
    "faiss": "dense",
    "matplotlib": "plot",
    "tomli_w": "dense",
    "torch": "dense",
    "transformers": "hf",
}
"""Libraries that a plain installation leaves out, by the name of their import: the extra that brings each."""


class MissingLibraryError(EsaError):
    """A library of `EXTRAS` that is not installed. The message holds the command that installs it."""


@contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Context for imports of optional libraries.

    Args:
        what: needs the libraries; the subject of the message.

    Raises:
        MissingLibraryError: an import inside found one of `EXTRAS` missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        raise MissingLibraryError(
            f"{what} needs {library}: pip install 'esa-align[{EXTRAS[library]}]'"
        ) from error
