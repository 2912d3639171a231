"""Score-matching diffusion for poses: denoisers, schedules, samplers."""
