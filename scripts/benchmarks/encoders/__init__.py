"""Encoders and dense stores: what they find, and at which cost."""
