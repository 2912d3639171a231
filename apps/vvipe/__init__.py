"""V-VIPE: a view-invariant pose embedding that lifts, retrieves and generates; and its peer PR-VIPE."""
