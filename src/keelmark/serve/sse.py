"""Server-sent events: an incremental reader and a writer.

Source: WHATWG HTML, section 9.2. Only `data` fields matter here; other fields and comments are
skipped. Bytes may be split anywhere.
"""

from __future__ import annotations

DONE = b"data: [DONE]\n\n"
LONGEST = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class EventTooLongError(ValueError):
    """An event is longer than `LONGEST` bytes."""


class EventReader:
    """Takes bytes as they arrive, returns the data of complete events."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._held = 0
        self._data: list[bytes] = []
        self._after_cr = False
        self._started = False
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that are complete now.

        Raises:
            EventTooLongError: An event without end.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not self._started:
            chunk = self._begin(chunk)
        first, *lines = chunk.split(b"\n")
        self._rest.append(first)
        self._held += len(first)
        events: list[bytes] = []
        if lines:
            self._line(self._whole_rest(), events)
            self._rest, self._held = [lines[-1]], len(lines[-1])
            for line in lines[:-1]:
                self._line(line, events)
        if self._held + self._size > LONGEST:
            raise EventTooLongError(f"An event is longer than {LONGEST} bytes.")
        return events

    def finish(self) -> list[bytes]:
        """Return what is left at the end: an event whose closing blank line never came."""
        events: list[bytes] = []
        self._line(self._whole_rest(), events)
        self._line(b"", events)
        return events

    def _whole_rest(self) -> bytes:
        """Take the line that is not complete; joined once, however many pieces it came in."""
        rest, self._rest, self._held = b"".join(self._rest), [], 0
        return rest

    def _begin(self, chunk: bytes) -> bytes:
        """Drop a byte order mark; keep a start that may still become one."""
        head = self._whole_rest() + chunk
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._rest = [head]
            return b""
        self._started = True
        return head.removeprefix(_BOM)

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            if self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
                self._size = 0
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value) + 1


def event(data: bytes) -> bytes:
    """Return one event on the wire; `data` holds no line break, as JSON never does."""
    return b"data: " + data + b"\n\n"
