"""2D detectors of people: one interface."""
