"""A motion as files: one module a format, each `write_FORMAT(motion, path)`; `saving` chooses by suffix."""
