"""One module or package a benchmark (`make bench-NAME`); the parts that only one of them uses lie beside it."""
