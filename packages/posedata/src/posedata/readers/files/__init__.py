"""Parsers of files that may be damaged or hostile: what cannot be is refused by name, before it is used."""
