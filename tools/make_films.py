"""Make the films that the sandbox serves, once: `python tools/make_films.py`.

Needs `pip install av` (PyAV brings its own FFmpeg); the project itself does not depend on it, because the films are
kept in the repository. Every film shows a square bouncing over a still gradient and a bar that fills with time, so a
person sees that it plays and how far it is. Nearly nothing moves, which keeps each file below 60 KB.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

FILMS = Path(__file__).resolve().parents[1] / "gateway" / "sandbox" / "films"
FRAMES_PER_SECOND = 24  # FACTS 4.2
# 768P and 1080P as the vendor makes them (FACTS 4.2); 512P and 720P are not documented, these are the even 16:9 sizes.
SIZES = {"512P": (912, 512), "720P": (1280, 720), "768P": (1366, 768), "1080P": (1920, 1080)}
# Every length on sale (FACTS 4.3).
FILMS_ON_SALE = (("512P", 6), ("512P", 10), ("720P", 6), ("768P", 6), ("768P", 10), ("1080P", 6))

# Three reference frames keep within what hardware decoders can hold; one thread makes the same bytes on every machine;
# no B-frames, so that presentation times start at nought.
ENCODER = {"preset": "slower", "crf": "34", "refs": "3", "threads": "1", "bf": "0", "g": "240", "tune": "animation"}

SQUARE_LUMA, BAR_LUMA, BAR_GROUND_LUMA = 220, 235, 40


def main() -> None:
    """Write every film and say its size."""
    FILMS.mkdir(parents=True, exist_ok=True)
    for resolution, duration_s in FILMS_ON_SALE:
        path = FILMS / f"{resolution}-{duration_s}.mp4"
        write_film(path, *SIZES[resolution], duration_s)
        print(f"{path.name}: {path.stat().st_size} bytes")


def write_film(path: Path, width: int, height: int, duration_s: int) -> None:
    """H.264, yuv420p, index in front, exactly `duration_s` long."""
    # Bit-exact, so that neither library versions nor dates are written into the container.
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        for number, frame in enumerate(frames(width, height, duration_s * FRAMES_PER_SECOND)):
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def frames(width: int, height: int, count: int) -> Iterator[av.VideoFrame]:
    """The film, frame by frame."""
    ground = [bytes([60 + 100 * y // height]) * width for y in range(height)]
    blue = [bytes(110 + 40 * x // (width // 2) for x in range(width // 2))] * (height // 2)
    red = [bytes([150 - 40 * y // (height // 2)]) * (width // 2) for y in range(height // 2)]
    for number in range(count):
        frame = av.VideoFrame(width, height, "yuv420p")
        rows = _with_bar(_with_square(ground, width, height, number), width, height, (number + 1) / count)
        for plane, plane_rows in zip(frame.planes, (rows, blue, red), strict=True):
            # A plane's line may be longer than the picture is wide.
            plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in plane_rows))
        yield frame


def _with_square(rows: list[bytes], width: int, height: int, number: int) -> list[bytes]:
    side = height // 6 // 16 * 16
    left = _bounce(number * width // 300, width - side)
    top = _bounce(number * height // 200, height * 7 // 8 - side)
    square = bytes([SQUARE_LUMA]) * side
    return [row[:left] + square + row[left + side :] if top <= y < top + side else row for y, row in enumerate(rows)]


def _with_bar(rows: list[bytes], width: int, height: int, done: float) -> list[bytes]:
    filled = int(width * done) // 2 * 2
    bar = bytes([BAR_LUMA]) * filled + bytes([BAR_GROUND_LUMA]) * (width - filled)
    return rows[: height * 15 // 16] + [bar] * (height - height * 15 // 16)


def _bounce(distance: int, room: int) -> int:
    """Where something is that runs to and fro between 0 and `room`."""
    return room - abs(distance % (2 * room) - room)


if __name__ == "__main__":
    main()
