"""EvoLink's file host, `POST /api/v1/files/upload/base64` (FACTS 1.6). Its errors are nowhere documented: they wear the
envelope of its good answers."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Any

from gateway.sandbox.calls import Answer, Call, Refusal, json_answer
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.uploads import Upload, read_mime_type

_FIELDS = ("base64_data", "upload_path", "file_name")
_DATA_URL = re.compile(r"data:[\w.+/-]*;base64,", re.IGNORECASE)
_BYTES_MAX = 100 * 1024 * 1024  # FACTS 1.6
_SAFE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def upload(sandbox: Sandbox, call: Call) -> Answer:
    """Keep one image and say where it is."""
    sandbox.accounts.open(call.key)
    body = call.json_object()
    for name in body:
        if name not in _FIELDS:
            raise Refusal(400, f"{name} is not a field of this request; allowed: {', '.join(_FIELDS)}", param=name)
    data = _decode(_text(body, "base64_data"))
    mime_type = read_mime_type(data)
    if mime_type is None:
        raise Refusal(400, "base64_data is no JPEG, PNG, GIF or WebP image", param="base64_data")
    original_name = _text(body, "file_name", f"image.{mime_type.removeprefix('image/')}")
    kept = sandbox.uploads.keep(
        data,
        mime_type,
        folder=_text(body, "upload_path", "uploads"),
        name=original_name,
        now=sandbox.now(),
    )
    return json_answer(200, {"success": True, "code": 200, "msg": "uploaded", "data": _describe(kept, call.base_url)})


def refuse(refusal: Refusal) -> Answer:
    content = {"success": False, "code": refusal.status, "msg": refusal.message, "data": None}
    return json_answer(refusal.status, content)


def _decode(text: str) -> bytes:
    prefix = _DATA_URL.match(text)
    try:
        data = base64.b64decode(text[prefix.end() :] if prefix else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"base64_data is not base64: {error}", param="base64_data") from error
    if len(data) > _BYTES_MAX:
        raise Refusal(413, f"the image has {len(data)} bytes; at most {_BYTES_MAX} are taken", param="base64_data")
    return data


def _text(body: dict[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or not value:
        raise Refusal(400, f"{name} must be a string that is not empty", param=name)
    return value


def _describe(kept: Upload, base_url: str) -> dict[str, Any]:
    name = _SAFE_NAME.sub("_", kept.name)
    url = f"{base_url}/uploads/{kept.id}/{name}"
    return {
        "file_id": kept.id,
        "file_name": name,
        "original_name": kept.name,
        "file_size": len(kept.data),
        "mime_type": kept.mime_type,
        "upload_path": kept.folder,
        "file_url": url,
        "download_url": url,
        "upload_time": _time(kept.uploaded_at),
        "expires_at": _time(kept.dies_at),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
