"""What several scripts share. Imports nothing but `esa` and each other."""
