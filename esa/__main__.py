"""`python -m esa` is `esa`."""

from esa.cli.main import main

main()
