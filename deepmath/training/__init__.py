"""Training: `fit` from top to bottom, the loop, callbacks, history and checkpoints. It knows programs, not models."""
