"""Images and sound in requests: one section of the policy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from keelmark.core.yamlfile import Strict


class Media(Strict, frozen=True):
    """What becomes of images and sound in chat; the guard reads text only, so passing is meant.

    Attributes:
        images: `pass` hands them to engines that take images, unread; `refuse` answers 400.
        audio: The same for sound.
        addresses: Whether an image may be an address, which the engine fetches from wherever it
            stands in the network; else it comes in the request (`data:`). Addresses are guarded
            as texts.
        bytes: Largest image or sound, bytes.
        most: Most of them in one request.
    """

    images: Literal["refuse", "pass"] = "refuse"
    audio: Literal["refuse", "pass"] = "refuse"
    addresses: bool = False
    bytes: Annotated[int, msgspec.Meta(ge=1024)] = 4 * 1024 * 1024
    most: Annotated[int, msgspec.Meta(ge=1, le=256)] = 16

    @property
    def passes(self) -> bool:
        """Whether anything but text may pass."""
        return "pass" in (self.images, self.audio)
