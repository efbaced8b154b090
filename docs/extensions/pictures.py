"""The directive `picture`: a picture of `deepmath plot`, drawn while the site is built, for light and for dark paper.

    ```{picture} activations
    ```

An argument behind the name is the caption; without one it is the picture's title.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from docutils import nodes
from matplotlib.image import imread
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from deepmath import gallery

FOLDER = "_pictures"
SCALE = 0.6
"""Pictures have 150 dots to the inch; so their letters get the size of the page's small ones."""


class Drawn(nodes.General, nodes.Element):
    """A picture's two files; written as one figure of which the page's theme shows one."""


class Drawing(SphinxDirective):
    """Draws the picture into the folder of the built site."""

    required_arguments, optional_arguments, final_argument_whitespace = 1, 1, True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        found = gallery.get(name)
        folder = Path(self.env.app.outdir) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        ending = ".gif" if found.moving else ".png"
        for theme in ("light", "dark"):
            file = gallery.write(name, folder / f"{name}-{theme}{ending}", dark=theme == "dark")
        caption = self.arguments[1] if len(self.arguments) > 1 else found.title
        figure = nodes.figure(
            "", Drawn(name=name, ending=ending, alt=found.title, size=size(file)), nodes.caption("", caption)
        )
        return [figure]


def size(file: Path) -> tuple[int, int]:
    """Width and height of an image on the page, in pixels of the browser, so that its words are as large as others."""
    height, width = imread(file).shape[:2]
    return round(width * SCALE), round(height * SCALE)


def visit(writer: Any, node: Drawn) -> None:
    """Two images, each a link to itself in full size."""
    width, height = node["size"]
    up = posixpath.relpath(FOLDER, posixpath.dirname(writer.builder.current_docname) or ".")
    for theme in ("light", "dark"):
        path = f"{up}/{node['name']}-{theme}{node['ending']}"
        writer.body.append(
            f'<a class="picture only-{theme}" href="{path}">'
            f'<img src="{path}" alt="{writer.encode(node["alt"])}" width="{width}" height="{height}" loading="lazy">'
            "</a>\n"
        )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_node(Drawn, html=(visit, None))
    app.add_directive("picture", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
