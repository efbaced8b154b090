"""Names that a file in another language may have."""

from __future__ import annotations

import re

from deepmath.errors import ConfigError

_RESERVED = {
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float",
    "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof",
    "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while",
}  # fmt: skip


def identifier(name: str) -> str:
    """The name, which must be one in C and in Python. Raises ConfigError for any other.

    >>> identifier("my_model")
    'my_model'
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in _RESERVED:
        raise ConfigError(f"export: name must be letters, digits and _, and begin with a letter; got {name!r}")
    return name


def identifier_of(stem: str) -> str:
    """A name made from that of a file.

    >>> identifier_of("my model-2"), identifier_of("2nd"), identifier_of("float")
    ('my_model_2', 'model_2nd', 'model_float')
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_")
    return name if re.match(r"[A-Za-z]", name) and name not in _RESERVED else f"model_{name}".rstrip("_")
