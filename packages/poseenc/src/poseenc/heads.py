"""What attention asks of its width."""


def check_heads(name: str, width: int, heads: int) -> None:
    """Raise ValueError where a width, of this name, cannot be shared among the heads of attention."""
    if width % heads:
        raise ValueError(f"{name} {width} is not a multiple of heads {heads}; change either")
