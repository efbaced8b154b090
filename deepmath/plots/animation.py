"""Pictures that move: frames as a GIF, or as an MP4 where ffmpeg is installed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import numpy as np

from deepmath.errors import ConfigError, MissingExtra, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_animation(
    figures: Iterable[Figure], path: str | os.PathLike[str], *, per_second: int = 8, hold: float = 2.0
) -> Path:
    """Write figures of one size as an animation; the last one stays for `hold` seconds, and a GIF begins again.

    The path ends in .gif, or in .mp4, which needs ffmpeg on the PATH. Figures are taken one at a time.

    Raises:
        ConfigError: another ending, no figures, or figures of different sizes.
        MissingExtra: matplotlib or ffmpeg is not installed.
        OSError: the folder is missing or can't be written.
    """
    target = Path(path)
    if target.suffix.lower() not in (".gif", ".mp4"):
        raise ConfigError(f"save_animation: path must end in .gif or .mp4, got '{target}'")
    require("matplotlib", "plot", "pictures")
    frames = [_pixels(figure) for figure in figures]
    if not frames or len({f.shape for f in frames}) != 1:
        sizes = ", ".join(sorted({f"{f.shape[1]} x {f.shape[0]}" for f in frames})) or "none"
        raise ConfigError(f"save_animation: figures must be one or more of one size; got {sizes}")
    if target.suffix.lower() == ".gif":
        _gif(frames, target, per_second, hold)
    else:
        _mp4([*frames, *[frames[-1]] * round(hold * per_second)], target, per_second)
    return target


def _pixels(figure: Figure) -> Any:
    """The figure's pixels [height, width, 3], even numbers of them as video wants it."""
    canvas: Any = figure.canvas
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2].copy()


def _gif(frames: list[Any], target: Path, per_second: int, hold: float) -> None:
    from PIL import Image  # matplotlib brings it

    # One palette for all frames, from the last: colours that change between frames would flicker.
    palette = Image.fromarray(frames[-1]).quantize(192)
    images = [Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    waits = [round(1000 / per_second)] * (len(images) - 1) + [round(1000 * hold)]
    images[0].save(target, save_all=True, append_images=images[1:], duration=waits, loop=0, optimize=False)


def _mp4(frames: list[Any], target: Path, per_second: int) -> None:
    import subprocess

    program = which("ffmpeg")
    if program is None:
        raise MissingExtra(
            f"save_animation: {target.name} needs ffmpeg, which is not on the PATH; write a .gif instead"
        )
    height, width, _ = frames[0].shape
    command = [program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", str(per_second), "-i", "-", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(target)]
    done = subprocess.run(command, input=b"".join(f.tobytes() for f in frames), capture_output=True, check=False)
    if done.returncode:
        raise OSError(f"ffmpeg could not write {target}: {done.stderr.decode(errors='replace').strip()}")
