"""Bodies of creates as the providers' own pages and SDKs write them (FACTS 1.2, 2.1, 3.2, 4.2, 5.2), one for each way
of making a video. Every one of them is an order that this gateway takes, where it sells the model."""

from collections.abc import Mapping
from typing import Any

_FIRST, _LAST = "https://example.com/first.png", "https://example.com/last.png"
_TEXT, _IMAGE, _BOTH, _SUBJECT = "from text", "from a first frame", "from both frames", "from a subject"

EXAMPLES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "evolink": {
        _TEXT: {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "A sunset over the sea [Pull out]",
            "quality": "768p",
            "duration": 6,
            "model_params": {"prompt_optimizer": False},
        },
        _IMAGE: {"model": "MiniMax-Hailuo-2.3-Fast", "image_urls": [_FIRST], "quality": "1080p"},
        _BOTH: {"model": "MiniMax-Hailuo-02", "prompt": "She turns", "image_urls": [_FIRST, _LAST], "duration": 10},
    },
    "toapis": {
        _TEXT: {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "A sunset over the sea",
            "resolution": "1080P",
            "metadata": {"prompt_optimizer": False},
        },
        _IMAGE: {"model": "MiniMax-Hailuo-02", "image_urls": [_FIRST], "resolution": "512P", "duration": 10},
        _BOTH: {"model": "MiniMax-Hailuo-02", "image_urls": [_FIRST], "metadata": {"last_frame_image": _LAST}},
    },
    "newapi": {
        _TEXT: {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "Contemporary dance, [dolly in]",
            "duration": 6,
            "metadata": {"resolution": "768P"},
        },
        _IMAGE: {
            "model": "MiniMax-Hailuo-02",
            "prompt": "She turns her head",
            "duration": 6,
            "metadata": {"first_frame_image": _FIRST, "resolution": "512P"},
        },
        _BOTH: {"model": "MiniMax-Hailuo-02", "prompt": "She turns her head", "images": [_FIRST, _LAST]},
        _SUBJECT: {
            "model": "S2V-01",
            "prompt": "She walks along the shore",
            "metadata": {"subject_reference": [{"type": "character", "image": [_FIRST]}]},
        },
    },
    "openai": {
        _TEXT: {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "A sunset over the sea",
            "seconds": "6",
            "metadata": {"resolution": "768P"},
        },
        _IMAGE: {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "The waves begin to move",
            "input_reference": {"image_url": _FIRST},
            "size": "1920x1080",
        },
        _BOTH: {"model": "MiniMax-Hailuo-02", "prompt": "She turns her head", "image_urls": [_FIRST, _LAST]},
    },
    "minimax": {
        _TEXT: {"model": "MiniMax-Hailuo-2.3", "prompt": "A sunset over the sea", "duration": 6, "resolution": "768P"},
        _IMAGE: {"model": "I2V-01", "prompt": "The waves begin to move", "first_frame_image": _FIRST},
        _BOTH: {"model": "MiniMax-Hailuo-02", "first_frame_image": _FIRST, "last_frame_image": _LAST},
        _SUBJECT: {
            "model": "S2V-01",
            "prompt": "She walks along the shore",
            "subject_reference": [{"type": "character", "image": [_FIRST]}],
        },
    },
}
