"""The training loop that the apps share: recipes, runs, checkpoints, results."""
