"""Printers: a traced formula as text in another language."""
