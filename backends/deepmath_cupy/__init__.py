"""x"""
def backend(device=None):
    return 1
