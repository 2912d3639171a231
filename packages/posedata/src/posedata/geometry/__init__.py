"""Cameras, alignment, boxes, rotations and frames: functions of tensors with any leading batch shape."""
