"""Skeletons, cameras, metrics, the pose store, dataset readers and a synthetic human."""
