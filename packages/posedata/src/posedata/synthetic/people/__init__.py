"""Synthetic people: bodies, how they move, and stores of them."""
