"""One's own photos, films and recordings to people in 3D, and those to files that others open."""
