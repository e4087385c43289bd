"""The door to kept films: a directory, or a bucket of an S3-compatible object store.

A film is kept under its task's opaque id. It is written whole or not at all: what breaks off, is shorter or longer than
its host said, or is no MP4, never gets a name. The store's library does the writing; what it cannot know is checked on
the way in. Credentials of a bucket come from the environment, by the names that every S3 client knows
(`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, …).
"""

import re
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from gateway.structs import Struct

if TYPE_CHECKING:  # 15 MB that a gateway without an archive need not load
    from obstore.store import ObjectStore

PART_BYTES = 8 << 20  # S3 takes parts of at least 5 MiB and 10,000 of them: films of up to 80 GB
PARTS_AT_ONCE = 2  # bounds the memory of one film
CHUNK_BYTES = 256 << 10
_REQUEST_S, _CONNECT_S = "600s", "10s"  # the library's own limit of 30 s would cut a film that is read slowly
_SUFFIX = ".mp4"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class ArchiveFailed(Exception):
    """The archive cannot be reached or written. The message is for the log; it holds no credential."""


class Spoilt(Exception):
    """What came is not the film: too short, too long, or no MP4. Nothing of it was kept."""


class Kept(Struct, frozen=True):
    """A kept film, or the asked range of it, as HTTP tells it: 200, 206 or 416. Its chunks may raise ArchiveFailed."""

    status: int
    headers: Mapping[bytes, bytes]
    chunks: AsyncIterator[bytes]


class Archive:
    """The films of one installation."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store

    @classmethod
    def open(cls, where: str) -> Self:
        """A directory, made if need be, or `s3://bucket/prefix`. Raises ArchiveFailed where that cannot be."""
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, S3Store

        try:
            if where.startswith("s3://"):
                options: Any = {"timeout": _REQUEST_S, "connect_timeout": _CONNECT_S, "allow_http": True}
                return cls(S3Store.from_url(where, client_options=options))
            return cls(LocalStore(where, mkdir=True))
        except (BaseError, OSError, ValueError) as error:
            raise ArchiveFailed(f"{where}: {_told(error)}") from error

    async def keep(self, name: str, chunks: AsyncIterator[bytes], length: int | None) -> int:
        """Store a film and return its bytes. `length` is what its host said. Raises Spoilt or ArchiveFailed, or what
        the chunks raise; then nothing is kept."""
        import obstore
        from obstore.exceptions import BaseError

        checked = _Checked(chunks, length)
        try:
            await obstore.put_async(
                self._store, name + _SUFFIX, checked, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            )
        except BaseError as error:
            if checked.trouble is not None:  # the library tells it in words of its own
                raise checked.trouble from None
            raise ArchiveFailed(_told(error)) from error
        if checked.trouble is not None:
            await self.drop(name)
            raise checked.trouble
        return checked.total

    async def read(self, name: str, byte_range: str | None, *, tag: str | None = None) -> Kept | None:
        """A kept film; None when there is none. A range that is none, or several, is ignored, as HTTP allows, and so is
        one of a film that has another `tag` than this one."""
        import obstore
        from obstore.exceptions import BaseError, NotFoundError

        path = name + _SUFFIX
        try:
            about = await obstore.head_async(self._store, path)
            size, etag = about["size"], _etag(about["e_tag"])
            wanted = _wanted(byte_range, size) if tag is None or tag == etag else None
            if wanted is not None and wanted[0] >= wanted[1]:
                return Kept(416, {b"content-range": b"bytes */%d" % size, b"content-length": b"0"}, _nothing())
            chunks = await self._chunks(path, wanted)
        except (NotFoundError, FileNotFoundError):
            return None
        except BaseError as error:
            raise ArchiveFailed(_told(error)) from error
        first, end = wanted or (0, size)
        headers = {b"content-length": b"%d" % (end - first), b"content-type": b"video/mp4"}
        if etag is not None:
            headers[b"etag"] = etag.encode()
        if wanted is not None:
            headers[b"content-range"] = b"bytes %d-%d/%d" % (first, end - 1, size)
        return Kept(206 if wanted is not None else 200, headers, chunks)

    async def _chunks(self, path: str, wanted: tuple[int, int] | None) -> AsyncIterator[bytes]:
        import obstore
        from obstore.exceptions import GenericError

        if wanted is not None:
            try:
                part: Any = {"range": wanted}
                return _stream(await obstore.get_async(self._store, path, options=part))
            except GenericError:
                # Some servers take the range and do not say so in the status, which the library refuses to believe.
                return _cut(_stream(await obstore.get_async(self._store, path)), *wanted)
        return _stream(await obstore.get_async(self._store, path))

    async def drop(self, name: str) -> None:
        """Keep a film no longer; one that is not there is none already."""
        import obstore
        from obstore.exceptions import BaseError, NotFoundError

        try:
            await obstore.delete_async(self._store, name + _SUFFIX)
        except (NotFoundError, FileNotFoundError):
            pass
        except BaseError as error:
            raise ArchiveFailed(_told(error)) from error


class _Checked:
    """The chunks of a film on their way in; ends with an error where they are not one."""

    def __init__(self, chunks: AsyncIterator[bytes], length: int | None) -> None:
        self._chunks = chunks
        self._length = length
        self._head = b""
        self.total = 0
        self.trouble: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                self._look_at(chunk)
                yield chunk
            self._look_at_end()
        except Exception as error:  # the library loses the class of what its source raises
            self.trouble = error
            raise

    def _look_at(self, chunk: bytes) -> None:
        if self.total < 8:
            self._head += chunk[:8]
            if len(self._head) >= 8 and self._head[4:8] != b"ftyp":
                raise Spoilt("it does not begin like an MP4")
        self.total += len(chunk)
        if self._length is not None and self.total > self._length:
            raise Spoilt(f"it is longer than the {self._length} bytes that were announced")

    def _look_at_end(self) -> None:
        if len(self._head) < 8:
            raise Spoilt(f"{self.total} bytes are no film")
        if self._length is not None and self.total != self._length:
            raise Spoilt(f"{self.total} of {self._length} bytes came")


def _etag(told: str | None) -> str | None:
    word = (told or "").strip('"').encode("ascii", "ignore").decode()
    return f'"{word}"' if word else None


def _wanted(byte_range: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of a single range, None for the whole; empty where it cannot be satisfied."""
    match = _RANGE.fullmatch(byte_range or "")
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) else (size, size)
    if last and int(last) < int(first):
        return None  # no range at all, by the standard
    return int(first), min(size, int(last) + 1) if last else size


async def _stream(found: Any) -> AsyncIterator[bytes]:
    from obstore.exceptions import BaseError

    try:
        async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(chunk)
    except BaseError as error:
        raise ArchiveFailed(_told(error)) from error


async def _cut(chunks: AsyncIterator[bytes], first: int, end: int) -> AsyncIterator[bytes]:
    """Of a whole film, the bytes from `first` on and before `end`."""
    at = 0
    async for chunk in chunks:
        part = chunk[max(0, first - at) : max(0, end - at)]
        at += len(chunk)
        if part:
            yield part
        if at >= end:
            return


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk


def _told(error: Exception) -> str:
    """The library's words: their first line says what, the rest is its own insides."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
