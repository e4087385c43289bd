"""Who reads a file's first bytes: its format by content, then the reader of that format."""

from gateway.images import jpeg, png, webp
from gateway.images.findings import Finding, Flaw, Unreadable
from gateway.images.intake import Ended, Intake, Steps
from gateway.images.strangers import LEAD_BYTES, name_of

# Metadata stand before the size in a JPEG and can be long: previews of cameras, colour profiles, edit histories.
HEAD_BYTES_MAX = 1 << 20

_JPEG = b"\xff\xd8\xff"
_RIFF, _WEBP, _WEBP_AT = b"RIFF", b"WEBP", 8  # RIFF holds sounds and films, too
_PNG = b"\x89PNG\r\n\x1a\n"


class HeaderReader:
    """Reads one header from bytes fed in pieces. `finding` is None while more of them are needed."""

    def __init__(self) -> None:
        self.finding: Finding | None = None
        self._intake = Intake()
        self._steps = _read(self._intake)
        self._room = HEAD_BYTES_MAX

    def feed(self, data: bytes) -> Finding | None:
        """Take the next bytes of the file; what there is to find, once it is found."""
        if self.finding is not None:
            return self.finding
        piece = data[: self._room]
        self._room -= len(piece)
        self._intake.add(piece)
        self._resume()
        if self.finding is None and self._room == 0:
            self.finding = Unreadable(Flaw.OVERLONG, f"its first {HEAD_BYTES_MAX} bytes")
        return self.finding

    def finish(self) -> Finding:
        """The finding of a file that ends here."""
        self._intake.finish()
        while self.finding is None:  # once: a reader that wants more bytes than there are ends with that
            self._resume()
        return self.finding

    def _resume(self) -> None:
        try:
            next(self._steps)
        except StopIteration as stop:
            self.finding = stop.value
        except Ended:
            self.finding = Unreadable(Flaw.TRUNCATED)


def _read(intake: Intake) -> Steps[Finding]:
    lead = yield from intake.peek(LEAD_BYTES)
    if lead.startswith(_JPEG):
        return (yield from jpeg.read(intake))
    if lead.startswith(_PNG):
        return (yield from png.read(intake))
    if lead.startswith(_RIFF) and lead.startswith(_WEBP, _WEBP_AT):
        return (yield from webp.read(intake))
    stranger = name_of(lead)
    if stranger is not None:
        return Unreadable(Flaw.OTHER_FORMAT, stranger)
    if not lead:
        return Unreadable(Flaw.EMPTY)
    return Unreadable(Flaw.TRUNCATED if _is_cut_short(lead) else Flaw.NOT_AN_IMAGE)


def _is_cut_short(lead: bytes) -> bool:
    """Whether a file is only the beginning of what a picture begins with."""
    if lead.startswith(_RIFF):
        return len(lead) < _WEBP_AT + len(_WEBP)
    return any(mark.startswith(lead) for mark in (_JPEG, _PNG, _RIFF))
