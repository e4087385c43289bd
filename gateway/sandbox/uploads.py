"""Images uploaded to the sandbox; they live 72 hours (FACTS 1.6)."""

import string
from collections import OrderedDict
from dataclasses import dataclass
from random import Random

LIFE_S = 72 * 3600  # FACTS 1.6
# Twelve images of the largest size that a model takes (FACTS 4.2); the oldest go first.
_KEPT_BYTES_MAX = 12 * 20 * 1024 * 1024
_ID_ALPHABET = string.ascii_lowercase + string.digits

# How a picture begins, and what the host takes (FACTS 1.6: GIF too, although no Hailuo model does).
_BEGINNINGS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True, slots=True)
class Upload:
    """One image. `folder` is the uploader's word and names nothing on any disk."""

    id: str
    folder: str
    name: str
    mime_type: str
    data: bytes
    uploaded_at: float

    @property
    def dies_at(self) -> float:
        return self.uploaded_at + LIFE_S


class Uploads:
    """The images kept, oldest first."""

    def __init__(self, *, seed: int | None) -> None:
        self._random = Random(seed)  # noqa: S311 - ids of a simulation, meant to be repeatable
        self._by_id: OrderedDict[str, Upload] = OrderedDict()
        self._bytes = 0

    def keep(self, data: bytes, mime_type: str, *, folder: str, name: str, now: float) -> Upload:
        upload = Upload(self._new_id(), folder, name, mime_type, data, now)
        self._by_id[upload.id] = upload
        self._bytes += len(data)
        while self._bytes > _KEPT_BYTES_MAX:
            _, oldest = self._by_id.popitem(last=False)
            self._bytes -= len(oldest.data)
        return upload

    def find(self, upload_id: str, now: float) -> Upload | None:
        upload = self._by_id.get(upload_id)
        return upload if upload is not None and now < upload.dies_at else None

    def _new_id(self) -> str:
        while (upload_id := "file_" + "".join(self._random.choices(_ID_ALPHABET, k=12))) in self._by_id:
            pass
        return upload_id


def read_mime_type(data: bytes) -> str | None:
    """What a picture is by its bytes, whatever it calls itself; None where it is none that the host takes."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime_type for beginning, mime_type in _BEGINNINGS if data.startswith(beginning)), None)
