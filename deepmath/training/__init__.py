"""Training: data at the door, the loop, callbacks, history and checkpoints. It knows programs, not models."""
