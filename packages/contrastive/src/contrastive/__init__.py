"""Losses that align any number of modalities."""
