"""A page on this machine that searches an index."""
