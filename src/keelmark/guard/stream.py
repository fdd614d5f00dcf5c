"""The exact streaming filter: what leaves is the prefix that every detector has decided.

A `Filter` reads one text as it comes. Detectors see a window: LOOK_BEHIND characters of what has
left already, as they read them, and all that is held. The cut is the smallest `open_from` of all
detectors, moved back to the start of the hit that straddles it, with whatever overlaps that hit:
before the cut everything is decided for good (contract), so what has left does not depend on how
the text was split. A whole text goes the same way, in windows.

What is held is at most what a detector leaves open, plus the end of a hit that straddles the cut,
plus what has come since the last look: less than 64 characters, or half of what was held
then. So every character is looked at a bounded number of times and a stream costs linear time,
also when a detector holds a megabyte.

After 64 looks that found more than plain words, such a look is followed by a rest of nine times as
long, 20 ms at most, in which up to 1,024 characters gather. A model that writes at its own pace
does not notice; what pours in faster is read in larger pieces, so that looking takes about a tenth
of a stream's time or costs as little as in a whole text, however small the pieces are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from time import perf_counter

from msgspec.structs import replace

from keelmark.guard.contract import LOOK_BEHIND, Hit, Token, last_token
from keelmark.guard.normalise import View, fold, folded
from keelmark.guard.run import Probe, Run, Seen
from keelmark.guard.standins import TAKES, Mask, annotation, joined, spelled, substitute
from keelmark.guard.tape import JsonTape, Tape
from keelmark.guard.vault import Unmasker, Vault

WINDOW = 16_384
"""Code points of a long text that are looked at before clocks are checked again."""

_END, _WITHIN = attrgetter("end"), attrgetter("hit.within")
_WRITE = TAKES | {"annotate"}
_LINGER = 64
_BURST = 1024
_REST = 9.0  # times as long as the look before it
_LONGEST_REST = 0.02  # seconds
_FREE = 64  # looks without a rest
_SMALL = 256
_LONG = 4096
_ENDLESS = 96  # characters of a token from which on detectors say how much of it is open
_AFTER = "\n"  # after a text that has ended, so that no token is open (`quiet`)


class Filter:
    """Guards one text while it comes.

    Args:
        run: The probes, and where to write down what becomes of them.
        mask: Makes placeholders; None redacts what the rules would mask.
        is_json: Whether the text is a JSON document.
        known: Hits in decoded runs, in the order of the text (whole texts only).
        whole: Whether to judge on to the end of the text when something blocks it.
        before: What stands before the text and is not part of it, such as the name of its field.
            Detectors that know where the text begins (`remembers`, `whole`) are not shown it.
    """

    def __init__(
        self,
        run: Run,
        *,
        mask: Mask | None = None,
        is_json: bool = False,
        known: Sequence[Seen] = (),
        whole: bool = False,
        before: str = "",
    ) -> None:
        self.blocked = False
        self._run = run
        self._mask = mask
        self._tape = JsonTape() if is_json else Tape()
        run.place = self._tape.place
        self._known = list(known)
        self._whole = whole
        self._pending: list[str] = []
        self._waiting = 0
        self._due = 0.0  # when the rest after the last look ends
        self._looks = 0  # that found more than plain words
        self._left = 0  # characters that have left, as read
        self._view: tuple[str, View] | None = None  # the last of what was held, as it reads
        # By probe: the last long window it was shown, and what it said.
        self._last: dict[int, tuple[tuple[int, bool, str], tuple[list[Hit], int]]] = {}
        # By `raw`: what detectors see of what has left.
        self._context = {probe.detector.raw: "" for probe in run.plan}
        self._before = before != ""
        if before:
            shown = {raw: before if raw else fold(before) for raw in self._context}
            self._context = {raw: said[-LOOK_BEHIND:] for raw, said in shown.items()}

    def feed(self, text: str) -> str:
        """Take the next piece; return what may leave now."""
        if self.blocked or not text:
            return ""
        self._run.read += len(text)
        if not self._run.plan:
            self._run.decided = self._run.read
            return text
        self._pending.append(text)
        self._waiting += len(text)
        if self._waiting < _LINGER and text.isascii() and text.isalnum():
            return ""  # within a word, where next to nothing gets decided
        if 2 * self._waiting < len(self._tape.text) - _SMALL:
            return ""
        if self._waiting < _BURST and self._due and perf_counter() < self._due:
            return ""
        return self._look(final=False)

    def finish(self, text: str = "") -> str:
        """The text is complete with this piece; return the rest of what may leave."""
        if self.blocked:
            return ""
        self._run.read += len(text)
        self._run.closed = True
        self._pending.append(text)
        return self._look(final=True)

    def _look(self, *, final: bool) -> str:
        fresh = "".join(self._pending)
        self._pending.clear()
        self._waiting = 0
        began, self._due = perf_counter(), 0.0
        calm = None if final and self._whole else self._calm(fresh, final=final)
        if calm is not None:
            return calm
        out: list[str] = []
        done = 0
        while len(fresh) - done > (size := max(WINDOW, len(self._tape.text) // 4)):
            out.append(self._step(fresh[done : done + size], final=False))
            done += size
        out.append(self._step(fresh[done:], final=final))
        self._looks += 1
        if self._looks > _FREE:
            now = perf_counter()
            self._due = now + min(_REST * (now - began), _LONGEST_REST)
        return "".join(out)

    def _calm(self, fresh: str, *, final: bool) -> str | None:
        """Take the short way where the text is plain words to every detector; None if it is not.

        It decides what `_step` would: ASCII reads alike to all detectors, and where they are
        quiet there is no hit and the last token is all that is open.
        """
        tape, context = self._tape, self._context.get(False, "")
        if type(tape) is not Tape or self._known or len(fresh) > WINDOW:
            return None
        text = context + tape.text + fresh
        start = len(context)
        if not text.isascii() or self._context.get(True, context) != context:
            return None
        asked = text + _AFTER if final else text
        end = len(text) if final else last_token(text, start)
        if len(text) - end >= _ENDLESS:
            return None
        for probe in self._run.live:
            if (final and probe.detector.remembers) or not probe.detector.quiet(asked, start):
                return None
        tape.text = text[end:]
        tape.position += end - start
        self._left += end - start
        self._run.decided = tape.position
        for probe in self._run.mindful:
            self._run.passed(probe, text[start:end])
        seen = text[max(0, end - LOOK_BEHIND) : end]
        for raw in self._context:
            self._context[raw] = seen
        return text[start:end]

    def _step(self, fresh: str, *, final: bool) -> str:
        if self.blocked:
            return ""
        tape = self._tape
        tape.push(fresh, final=final)
        seen, cut = self._scan(final=final)
        if self._run.stopped and not self._whole:
            self.blocked = self._run.closed = True
            return ""
        if seen:
            return self._release(*self._clusters(seen, cut))
        out = tape.written(0, cut)
        self._forget(cut)
        return out

    def _scan(self, *, final: bool) -> tuple[list[Seen], int]:
        """Let the live probes look; return decided hits and the cut, in what is held."""
        held = self._tape.text
        cut = length = len(held)
        seen: list[Seen] = []
        if self._known:
            seen += (
                replace(one, start=one.start - self._left, end=one.end - self._left)
                for one in self._known
                if self._left <= one.start < self._left + length
            )
        windows: dict[tuple[bool, bool], tuple[View, str, int]] = {}
        for probe in self._run.live:
            if self._whole and self._run.spared(probe, seen):
                continue
            kind = probe.detector
            raw, alone = kind.raw, self._before and (kind.remembers or kind.whole)
            if (raw, alone) not in windows:
                view = View(held, length) if raw else self._folded(held)
                context = "" if alone else self._context[raw]
                windows[raw, alone] = view, context + view.text, len(context)
            view, text, start = windows[raw, alone]
            hits, stop = self._looked(probe, text, start, final=final)
            if stop < len(text):
                cut = min(cut, view.position(stop - start))
            for hit in hits:
                first, last = view.origin(hit.start - start, hit.end - start)
                seen.append(Seen(first, last, hit, probe))
        return seen, cut

    def _folded(self, held: str) -> View:
        """What is held as it reads without disguises; the same again is not read again."""
        if self._view is None or self._view[0] != held:
            self._view = held, folded(held)
        return self._view[1]

    def _looked(self, probe: Probe, text: str, start: int, *, final: bool) -> tuple[list[Hit], int]:
        """What a probe has decided about a window, and up to where.

        The same long window again is not read again.
        """
        asked, kind = (start, final, text), probe.detector
        last = self._last.get(probe.number)
        if last and last[0] == asked:
            return last[1]
        if final and not kind.remembers and kind.quiet(text + _AFTER, start):
            told: tuple[list[Hit], int] = [], len(text)
        elif (
            not final
            and len(text) - (stop := last_token(text, start)) < _ENDLESS
            and (kind.quiet(text, start))
        ):
            told = [], stop
        else:
            told = self._run.look(probe, text, start, final=final)
        if len(text) > _LONG and not (kind.remembers or (told[0] and kind.enough)):
            self._last[probe.number] = asked, told
        return told

    def _clusters(self, seen: list[Seen], cut: int) -> tuple[list[list[Seen]], int]:
        """Join what overlaps; leave out what straddles the cut and move the cut before it."""
        clusters: list[list[Seen]] = []
        for cluster in joined(seen):
            if cluster[0].start >= cut:
                break
            if (max(map(_END, cluster)) if len(cluster) > 1 else cluster[0].end) > cut:
                return clusters, cluster[0].start
            clusters.append(cluster)
            if not self._whole and any("block" in one.actions() for one in cluster):
                self.blocked = self._run.closed = True
                return clusters, cluster[0].start
        return clusters, cut

    def _release(self, clusters: Iterable[list[Seen]], cut: int) -> str:
        """Write down what is decided, and return what may leave of it."""
        tape, run, offset = self._tape, self._run, self._tape.offset
        out: list[str] = []
        done = 0
        for cluster in clusters:
            changed: list[Seen] = []
            for seen in cluster:
                one = self._mended(seen) if run.again is not None and seen.start < cut else seen
                actions = run.note(one, offset(one.start), offset(one.end))
                if one.start < cut and not (one.instead is None and _WRITE.isdisjoint(actions)):
                    changed.append(one)
            if changed:
                for group in joined(changed):
                    done = self._change(group, done, out)
        out.append(tape.written(done, cut))
        self._forget(len(tape.text) if self.blocked else cut)
        return "".join(out)

    def _change(self, group: list[Seen], done: int, out: list[str]) -> int:
        """Write what overlaps as it may leave, with what stands before it; return its end."""
        tape, actions = self._tape, group[0].actions()
        if len(group) > 1:
            actions = actions.union(*[one.actions() for one in group])
        if not TAKES.isdisjoint(actions):
            for taken in joined([one for one in group if not TAKES.isdisjoint(one.actions())]):
                start, end = taken[0].start, max(map(_END, taken))
                out += tape.written(done, start), self._replaced(taken, start, end)
                done = end
        if "annotate" in actions and type(tape) is Tape and (told := annotation(group)):
            end = max(map(_END, group))
            out += tape.written(done, end), told
            done = end
        return done

    def _replaced(self, taken: list[Seen], start: int, end: int) -> str:
        """What is written in the place of what overlaps."""
        put = substitute(taken, self._mask)
        inner = next(filter(None, map(_WITHIN, taken)), "")
        if not inner or type(self._tape) is not Tape:
            return self._tape.replaced(start, end, put)
        return self._tape.replaced(start, end, lambda value: spelled(put(value), inner))

    def _mended(self, one: Seen) -> Seen:
        """Ask for another sentence where a rule says so; one without findings takes its place."""
        run, tape = self._run, self._tape
        if run.again is None or type(tape) is not Tape or one.hit.within:
            return one
        asking = [rule.repair for rule in one.rules() if rule.repair]
        if not asking:
            return one
        sentence, at = tape.text[one.start : one.end], tape.offset(one.start)
        for _ in range(max(repair.attempts for repair in asking)):
            other = run.again(sentence, one.hit.reason)
            if other.text is None:
                run.rewritten[at] = f", and not replaced: {other.why}"
                break
            own = Run(run.plan)
            text = Filter(own, whole=True).finish(other.text)
            if not own.findings and not own.lost:
                run.rewritten[at] = ", so it was asked for again"
                return replace(one, instead=text)
            run.rewritten[at] = ", and not replaced: what was written instead was no better"
        return one

    def _forget(self, count: int) -> None:
        """Let go of what has left, but for what detectors may still look back at."""
        if not count:
            return
        gone = self._tape.text[:count]
        said = self._view[1].text if self._view and self._view[0] == gone else None
        read = {raw: gone if raw else said or fold(gone) for raw in self._context}
        for raw, context in self._context.items():
            self._context[raw] = (context + read[raw])[-LOOK_BEHIND:]
        for probe in self._run.mindful:
            self._run.passed(probe, read[probe.detector.raw])
        self._tape.drop(count)
        self._left += count
        self._run.decided = self._tape.position


class Channel:
    """One channel of text that a model writes: guarded first, then unmasked.

    Placeholders pass the guard as they are, so the user's own values come back to the user and
    are not redacted again.

    Args:
        run: The probes, and where to write down what becomes of them.
        vault: The vault of the request; None when there is nothing to give back.
        is_json: Whether the text is a JSON document.
    """

    def __init__(self, run: Run, vault: Vault | None = None, *, is_json: bool = False) -> None:
        self.run = run
        self.seconds = 0.0
        self._filter = Filter(run, is_json=is_json)
        self._unmasker = Unmasker(vault, is_json=is_json) if vault else None
        self._kept: list[str] = []

    @property
    def kept(self) -> str:
        """What has left so far, placeholders still in place: the form that may be stored."""
        return "".join(self._kept)

    @property
    def blocked(self) -> bool:
        """Whether the guard has stopped this channel; nothing more comes out of it."""
        return self._filter.blocked

    def weigh(self, tokens: Sequence[tuple[str, float]]) -> None:
        """Take note of the log-probabilities of tokens whose text comes next."""
        for probe in self.run.mindful:
            probe.detector.weigh([Token(*one) for one in tokens])

    def feed(self, text: str) -> str:
        """Take the next piece of the model's text; return what may leave now."""
        began = perf_counter()
        out = self._filter.feed(text)
        self._kept.append(out)
        if self._unmasker and (out or self.blocked):
            out = self._unmasker.feed(out, final=self.blocked)
        self.seconds += perf_counter() - began
        return out

    def finish(self) -> str:
        """The text is complete; return the rest of what may leave."""
        began = perf_counter()
        out = self._filter.finish()
        self._kept.append(out)
        if self._unmasker:
            out = self._unmasker.feed(out, final=True)
        self.seconds += perf_counter() - began
        return out
