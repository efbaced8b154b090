"""`deepmath plot`: the pictures that explain networks and trainings, each from one command."""

from __future__ import annotations

import click

from deepmath import gallery
from deepmath.errors import ConfigError

THEMES = ("light", "dark")


@click.command()
@click.argument("name", required=False)
@click.option("--out", metavar="FILE", help="Where to: .png, or .gif and .mp4 for one that moves.  [default: NAME.png]")
@click.option("--theme", type=click.Choice(THEMES), default="light", help="Paper light or dark.  [default: light]")
@click.option("--list", "listed", is_flag=True, help="List all pictures with what they show.")
def plot(name: str | None, out: str | None, theme: str, listed: bool) -> None:
    """Draw the picture NAME: activations, regions, training, rates, optimizers, ...; --list names them all."""
    if listed:
        for line in _lines():
            click.echo(line)
        return
    if name is None:
        raise ConfigError("plot: NAME is missing; 'deepmath plot --list' names the pictures")
    picture = gallery.get(name)
    target = picture.target(out or f"{name}.{'gif' if picture.moving else 'png'}")
    click.echo(f"deepmath: drawing {picture.title.lower()}", err=True)
    click.echo(f"deepmath: wrote {gallery.write(name, target, theme == 'dark')}", err=True)


def _lines() -> list[str]:
    """A line for each picture: name, title, source."""
    rows = [gallery.get(name) for name in gallery.names()]
    width = max(len(row.name) for row in rows)
    return [f"{row.name:<{width}}  {row.title} ({row.source})" for row in rows]
