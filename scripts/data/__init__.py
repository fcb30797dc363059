"""Makers of data: the bundled files, a genome of human size, reads with gaps or breaks at known places."""
