"""UniPose: not built yet. `README.md` beside this file says what is there and what is missing."""
