"""The CUDA backend on the shim: programs and their cases."""
