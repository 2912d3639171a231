"""UniHPR: image, 2D and 3D human poses in one embedding, decoded by diffusion."""
