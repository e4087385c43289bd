"""What upstreams ask of a picture, and how a caller is told (CONTRACT section 7, image limits).

All rules that a picture breaks come in one answer. Ratios are compared in whole numbers.
"""

from collections.abc import Iterator

from gateway.errors import Problem
from gateway.images.findings import Finding, Flaw, Format, Header, Unreadable

# "Less than 20 MB" on some pages, "max 20 MB" on others (FACTS 7.7, 10): what all of them take is fewer.
BYTES_END = 20 * 1024 * 1024
SHORT_EDGE_MIN = 301
ASPECT = (2, 5)  # short to long, inclusive; the same for a picture that lies and one that stands
# No page has a rule for this, and no upstream would survive without one: a PNG of 65 bytes can say 65,000 x 65,000
# pixels, 12 GB to decode. What is allowed is the largest picture WebP can hold (and common decoders by default), which
# is beyond any camera.
PIXELS_MAX = 16_383 * 16_383

_FORMATS = tuple(str(known) for known in Format)
_FLAWS = {
    Flaw.EMPTY: "the image is empty",
    Flaw.NOT_AN_IMAGE: "this is not an image: its content is not in a known format",
    Flaw.OTHER_FORMAT: "this is not an image of an accepted format: its content is {detail}",
    Flaw.TRUNCATED: "the image is cut short: it ends inside its own header",
    Flaw.CORRUPT: "the image is damaged: {detail}",
    Flaw.OVERLONG: "the size of the image is not to be found in {detail}; save it with less metadata",
}


def judge(param: str, finding: Finding, byte_count: int | None) -> list[Problem]:
    """Every rule that the picture under `param` breaks. `byte_count` is the whole file's, None where not known."""
    problems = judge_bytes(param, byte_count)
    if isinstance(finding, Unreadable):
        message = _FLAWS[finding.flaw].format(detail=finding.detail)
        return [*problems, Problem(param, message, _FORMATS)]
    return [*problems, *_judge_size(param, finding)]


def judge_bytes(param: str, byte_count: int | None) -> list[Problem]:
    """The rule of the file's size alone."""
    if byte_count is None or byte_count < BYTES_END:
        return []
    rule = f"the image has {byte_count} bytes; it must have fewer than {BYTES_END} (20 MiB)"
    return [Problem(param, rule, (f"fewer than {BYTES_END} bytes",))]


def _judge_size(param: str, header: Header) -> Iterator[Problem]:
    short, long = sorted((header.width, header.height))
    found = f"the image has {header.width} x {header.height} pixels"
    if short < SHORT_EDGE_MIN:
        allowed = f"{SHORT_EDGE_MIN} pixels or more"
        yield Problem(param, f"{found}; its short edge must have {allowed}", (allowed,))
    if short * ASPECT[1] < long * ASPECT[0]:
        yield Problem(param, f"{found}; its aspect ratio must lie between 2:5 and 5:2", ("2:5 to 5:2",))
    if header.width * header.height > PIXELS_MAX:
        allowed = f"{PIXELS_MAX} pixels or fewer"
        yield Problem(param, f"{found}, {header.width * header.height} in all; it must have {allowed}", (allowed,))
