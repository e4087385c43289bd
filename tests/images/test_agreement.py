"""Three readers, one opinion: ours, Pillow and imagesize, on real files and on broken ones that can still be shown."""

import io
import warnings
from collections.abc import Iterator

import imagesize
import pytest
from PIL import Image

from gateway.images import Header, Unreadable
from tests.images.files import LARGE, TINY, encode, real_files
from tests.images.mutants import mutant, originals
from tests.images.reading import read

# Why we refuse what Pillow shows.
ONLY_PILLOW = (
    "it has more than 1000 segments before its size",  # a mutation's storm of empty segments, which no camera writes
    "the size is missing where a JPEG must have it",  # an end before the beginning, which other decoders do not forgive
)
# Pillow opens a JPEG with a preview behind it under a name of its own.
NAMES = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WebP"}


@pytest.mark.parametrize("name", real_files())
@pytest.mark.parametrize("size", [TINY, LARGE], ids=str)
def test_a_real_file_has_the_size_that_pillow_and_imagesize_see(name: str, size: tuple[int, int]) -> None:
    data = real_files(size)[name]
    found = read(data)
    assert isinstance(found, Header)
    with Image.open(io.BytesIO(data)) as picture:
        assert (NAMES[picture.format or ""], *picture.size) == (found.format, found.width, found.height)
        assert picture.size == size
    assert imagesize.get(io.BytesIO(data), exif_rotation=False) == size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(1, 1), (1, 2_000), (2_000, 1), (300, 301), (255, 256), (257, 4_097)], ids=str)
def test_odd_sizes_are_read_alike(kind: str, size: tuple[int, int]) -> None:
    data = encode("RGB", size, kind)
    found = read(data)
    assert isinstance(found, Header)
    assert (found.width, found.height) == size == imagesize.get(io.BytesIO(data))


@pytest.fixture
def _cautious_pillow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pillow refuses what a mutation made huge, and keeps quiet about metadata it cannot read."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    with warnings.catch_warnings(action="ignore"):
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@pytest.mark.usefixtures("_cautious_pillow")
def test_what_pillow_can_still_show_is_read_and_with_the_same_size() -> None:
    shown = 0
    for number in range(4_000):
        data = mutant(number, originals(small=True))
        size = _shown_size(data)
        if size is None:
            continue
        found = read(data)
        if isinstance(found, Unreadable):
            assert found.detail in ONLY_PILLOW, f"mutant {number}: {found}"
        else:
            assert (found.width, found.height) == size, f"mutant {number}"
            shown += 1
    assert shown > 500


def _shown_size(data: bytes) -> tuple[int, int] | None:
    """The size of a picture that Pillow decodes to the last row."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "MPO", "PNG", "WEBP"]) as picture:
            picture.load()
            return picture.size
    except Exception:  # whatever a decoder says of a broken file
        return None
