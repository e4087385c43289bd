"""What a single value of the configuration may be: names, addresses, durations, amounts, secrets.

Types are strict: text is never taken for a number. Each reader refuses with `refusal`, whose words are written here
and never hold the value itself, because a secret may have been put in the wrong place.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.money import MICROS, parse_micros
from gateway.secret import Secret
from gateway.structs import Struct

# Ids and names become metric labels, headers and parts of paths.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
_URL_CHARACTERS = re.compile(r"[!-~]+")
_HEADER_CHARACTERS = re.compile(r"[!-~]+")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
# What stands after postgresql://, divided as SQLAlchemy does.
_DATABASE = re.compile(
    r"(?:[^:/]*(?::[^@]*)?@)?(?P<host>\[[^/?]+\]|[^/:?]*)(?::(?P<port>[^/?]*))?(?:/(?P<database>[^?]*))?(?:\?.*)?"
)
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_PLAIN_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}")
_PRICE_KEY = re.compile(r"(?:[0-9]+[PK]|-)/(?:[0-9]+|-)")
# A thousand million of a currency: far above any budget, and far below what a 64-bit column of millionths holds.
_AMOUNT_MAX = 1_000_000_000
SIGNING_PREFIX = "whsec_"


def refusal(message: str, fix: str) -> PydanticCustomError:
    """What a reader raises: what is wrong, and what to write instead."""
    return PydanticCustomError("refusal", "{message}", {"message": message, "fix": fix})


class SecretPlace(Struct, frozen=True):
    """Marks a setting that is a secret: it may be a text, `${NAME}` or `{file: path}`."""

    empty_is_null: bool = False


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise refusal("is not a name", "use 1 to 64 letters, digits or . _ @ + -, beginning with a letter or digit")
    return text


def _url(text: str) -> str:
    rule = "write it like https://host or http://host:port/path"
    if not _URL_CHARACTERS.fullmatch(text):
        raise refusal("is not an address: it is empty or holds blanks or characters other than ASCII", rule)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise refusal("is not an address that can be read", rule) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise refusal("is not an absolute http or https address", rule)
    if "@" in parts.netloc:
        raise refusal("holds a user name or password", "leave them out; keys belong into `keys`")
    if "?" in text or "#" in text:
        raise refusal("holds a query or a fragment", "end the address before `?` or `#`")
    return text.rstrip("/")


def _base_url(text: str) -> str:
    address = _url(text)
    if address.endswith("/v1"):
        raise refusal("ends in /v1, which the gateway adds itself", "end the address before /v1")
    return address


def _micros(value: object) -> int:
    fix = f"write a plain amount from 0 to {_AMOUNT_MAX} with at most six decimals, like 0.28"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise refusal("is not an amount of money", fix)
    if isinstance(value, str) and not _PLAIN_AMOUNT.fullmatch(value):
        raise refusal("is not an amount of money", fix)
    try:
        micros = parse_micros(str(value))  # str of a float is its shortest spelling, which is what the file says
    except ValueError:
        raise refusal("is not an amount of money", fix) from None
    if micros > _AMOUNT_MAX * MICROS:
        raise refusal("is too large an amount", fix)
    return micros


def _network(value: object) -> IPv4Network | IPv6Network:
    fix = "write an address range in CIDR form, like 10.0.0.0/8"
    if not isinstance(value, str):
        raise refusal("is not a range of addresses", fix)
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        right = ip_network(value, strict=False)
    except ValueError:
        raise refusal("is not a range of addresses", fix) from None
    raise refusal("names an address inside a range instead of the range", f"write {right}")


def _moment(value: object) -> datetime:
    """A point in time. Without an offset it is UTC; a bare date is its first moment."""
    moment: datetime | None = None
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if moment is None:
        raise refusal("is not a date", "write it like 2030-12-31 or 2030-12-31T18:00:00Z")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _off(value: object) -> object:
    """YAML reads a bare `off` as false; where `off` is one of the words, that is what was meant."""
    return "off" if value is False else value


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise refusal("is not a SHA-256 in hex", "write the 64 hex digits that `printf %s KEY | sha256sum` prints")
    return text.lower()


def _currency(text: str) -> str:
    if not _CURRENCY.fullmatch(text):
        raise refusal("is not a currency", "write three capital letters, like USD")
    return text


def _price_key(text: str) -> str:
    if not _PRICE_KEY.fullmatch(text):
        raise refusal("is not a resolution and a duration", "write it like 768P/6, with - where a model has no choice")
    return text


def _secret(value: object) -> Secret:
    if not isinstance(value, Secret):  # expansion has wrapped or refused everything else
        raise refusal("is not a secret", "write it as text, ${NAME} or {file: path}")
    return value


def _header_secret(value: object) -> Secret:
    secret = _secret(value)
    if not _HEADER_CHARACTERS.fullmatch(secret.reveal()):
        fix = "use printable ASCII without blanks; look for a line break at its end"
        raise refusal("holds a character that cannot be sent in a header", fix)
    return secret


def _digest(value: object) -> str | None:
    """What is kept of a virtual key: enough to recognise it, not enough to use it."""
    return None if value is None else _header_secret(value).digest()


def _storage_url(value: object) -> Secret:
    """What `gateway.store` would refuse for its text alone, when a gateway is opened, is refused here."""
    secret = _secret(value)
    scheme, found, rest = secret.reveal().partition("://")
    if not found or scheme not in ("sqlite", "postgresql"):
        fix = "write sqlite:///file.db or postgresql://user:password@host/database"
        raise refusal("is not storage that can be used", fix)
    if scheme == "sqlite":
        _refuse_unusable_file(rest)
    else:
        _refuse_unusable_database(rest)
    return secret


def _refuse_unusable_file(rest: str) -> None:
    fix = "write sqlite:///file.db, or sqlite:////folder/file.db for a path from the root"
    if rest in ("", "/", "/:memory:"):
        raise refusal("is no file, and tasks must outlive the process", fix)
    if not rest.startswith("/"):
        raise refusal("lacks a slash: a file stands after three", fix)
    if "?" in rest:
        raise refusal("holds options after `?`, of which SQLite's are none", "end the address before `?`")


def _refuse_unusable_database(rest: str) -> None:
    match = _DATABASE.fullmatch(rest)
    if match is None or not match["database"]:
        raise refusal("names no database", "write postgresql://user:password@host/database")
    if "@" in match["host"]:
        raise refusal("holds a second @, most often of the password", "write it as %40 there (and % as %25)")
    if match["port"] is not None and not match["port"].isdecimal():
        fix = "write host:5432 or only host; in a password, a colon is %3A and a slash %2F"
        raise refusal("names a port that is no number", fix)


def _archive(text: str) -> str:
    """A directory, which is made where there is none, or a bucket. What can be seen to be neither is refused here:
    `gateway.archive` would find it when everything else is open already."""
    fix = "write the path of a directory, or s3://bucket/prefix"
    if "://" in text or text.casefold().startswith("s3:"):
        bucket, _, prefix = text.removeprefix("s3://").partition("/")
        if not text.startswith("s3://"):
            raise refusal("is neither a directory nor a bucket that can be used", fix)
        if not _BUCKET.fullmatch(bucket):
            raise refusal("names no bucket", f"{fix}; where the store is and its keys come from AWS_* variables")
        if "?" in prefix or "#" in prefix:
            raise refusal("holds a query or a fragment", "end the prefix before `?` or `#`")
        return text
    path = Path(text)
    if any(os.path.lexists(above) and not os.path.isdir(above) for above in (path, *path.parents)):  # noqa: PTH112 - a Path raises where it may not look
        raise refusal("is not a directory, or below something that is none", fix)
    return text


def _signing_secret(value: object) -> Secret:
    secret = _secret(value)
    prefix, encoded = secret.reveal()[: len(SIGNING_PREFIX)], secret.reveal()[len(SIGNING_PREFIX) :]
    try:
        is_usable = prefix == SIGNING_PREFIX and bool(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        is_usable = False
    if not is_usable:
        raise refusal("is not a signing secret", f"write {SIGNING_PREFIX} followed by base64, as webhook libraries do")
    return secret


_SecretForm = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"file": {"type": "string"}},
                "required": ["file"],
                "additionalProperties": False,
            },
        ]
    }
)
_Masked = PlainSerializer(repr, return_type=str)
_ReadOnly = AfterValidator(MappingProxyType)

Provider = Literal["evolink", "toapis", "newapi", "minimax"]
Dialect = Literal["evolink", "toapis", "newapi", "openai", "minimax"]
Period = Literal["1d", "7d", "30d", "1mo"]
OffWord = BeforeValidator(_off)

Name = Annotated[str, AfterValidator(_name)]
Glob = Annotated[str, Field(min_length=1)]
Url = Annotated[str, AfterValidator(_url)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[int, BeforeValidator(_micros, json_schema_input_type=float | str)]
Archive = Annotated[str, Field(min_length=1), AfterValidator(_archive)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network, json_schema_input_type=str)]
Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str)]
Sha256 = Annotated[str, AfterValidator(_sha256)]
Currency = Annotated[str, AfterValidator(_currency)]
PriceKey = Annotated[str, AfterValidator(_price_key)]
PriceList = Annotated[
    Mapping[Annotated[str, Field(min_length=1)], Annotated[Mapping[PriceKey, Amount], _ReadOnly]],
    _ReadOnly,
    PlainSerializer(lambda prices: {model: dict(lines) for model, lines in prices.items()}, return_type=dict[str, Any]),
]

HeaderSecret = Annotated[Secret, PlainValidator(_header_secret), _SecretForm, _Masked, SecretPlace()]
OptionalHeaderSecret = Annotated[
    Annotated[Secret, PlainValidator(_header_secret), _SecretForm, _Masked] | None, SecretPlace(empty_is_null=True)
]
OptionalSigningSecret = Annotated[
    Annotated[Secret, PlainValidator(_signing_secret), _SecretForm, _Masked] | None, SecretPlace(empty_is_null=True)
]
StorageUrl = Annotated[Secret, PlainValidator(_storage_url), _SecretForm, _Masked, SecretPlace()]
DigestOfSecret = Annotated[str | None, BeforeValidator(_digest), _SecretForm, SecretPlace()]
