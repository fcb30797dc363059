"""The errors a user can meet. One boundary (`esa.cli.main`) turns them into a message and an exit code."""

EXIT_DATA = 1
EXIT_USAGE = 2
EXIT_SIGINT = 130
EXIT_BROKEN_PIPE = 141
EXIT_SIGTERM = 143


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
