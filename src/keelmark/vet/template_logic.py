"""What a chat template does with words: back doors that need no code.

The template is parsed and never rendered. Names that come from what people write are followed
through assignments, loops and macros; constants are folded, so that a word in pieces is a word.
Reported is a template that tests for words of the user, that puts sentences into the prompt when a
test on them (or on the number of turns) succeeds, that rewrites them, or that gives them the
system's role. Switches (`/no_think`), markup (`<think>`) and parts of messages (`'image'`) are the
everyday business of templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from keelmark.vet.template_words import Meaning, name_of

_MAX_NODES = 200_000
_PARTS = {
    *("type", "text", "content", "image", "images", "image_url", "video", "video_url", "audio"),
    *("audio_url", "input_audio", "document", "documents", "file", "file_url", "input_image"),
    *("input_text", "tool", "tools", "tool_call", "tool_calls", "tool_response", "function"),
    *("functions", "name", "arguments", "parameters", "role", "system", "user", "assistant"),
    *("developer", "think", "thinking", "reasoning", "none", "null", "true", "false", "title"),
    *("source", "data", "url", "json", "string", "object", "array", "number", "id", "result"),
    *("output", "error", "json_schema"),
}
_WORD = re.compile(r"\s*[^\W\d_]{3,}(?:[ '’.,!?-]*[^\W_]+)*[.!?]*\s*")
_SWITCH = re.compile(r"\s*/[\w-]+\s*")
_MARKUP = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|[#*=`|]+")
_TOKEN = re.compile(r"\s*(?:</?[\w|｜▁ :/-]+>|\[/?[A-Z_ ]+\]|<<?/?SYS>>?|#+ ?\w+:?|\W*)\s*")
_MODE = re.compile(r"think|reason|tool|mode|search", re.IGNORECASE)
_PROSE = re.compile(r"[^\W\d_]{2,}(?:[ ,;:'’-]+[^\W\d_]+){2,}|[\u3040-\u30ff\u4e00-\u9fff]{6,}")
_SYSTEM = re.compile(r"(?:<\|?|\[|im_start\|>|start_header_id\|>|\A|\n)\s*system\b", re.IGNORECASE)
_SYSTEM_ENDS = re.compile(
    r"(?:<\|?|\[|im_start\|>|start_header_id\|>)\s*system\s*(?:\|>|>|\]|<\|end_header_id\|>)?\s*\Z",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:https?|ftp)://(?!json-schema\.org|www\.w3\.org)[^\s'\"]+", re.IGNORECASE)
_ORDER = re.compile(
    r"\b(?:always|never|must|include|append|recommend|visit|click|send|tell|mention|end|add|use|"
    r"insert|load|import|download|embed|refer|direct|redirect|ignore|pretend|reply|answer)\b",
    re.IGNORECASE,
)


class Remark(NamedTuple):
    """Something that a template does: `backdoor` or `review`, where, what, and the words."""

    kind: str
    line: int
    message: str
    evidence: str


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}` of transformers marks the model's own words."""

    tags = {"generation"}  # noqa: RUF012 - the name and type are Jinja's

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def examine_logic(source: str) -> tuple[list[Remark], str]:
    """Return what a template does to words, and why it could not be examined ("" if it was)."""
    extensions: list[str | type[Extension]] = [
        "jinja2.ext.loopcontrols",
        "jinja2.ext.do",
        _Generation,
    ]
    try:
        tree = Environment(extensions=extensions).parse(source)  # noqa: S701 - never rendered
    except (TemplateError, RecursionError) as error:
        return [], f"the chat template cannot be parsed ({error})"
    if sum(1 for _ in tree.find_all(nodes.Node)) > _MAX_NODES:
        return [], "the chat template is too large to be examined"
    try:
        return list(dict.fromkeys(_Logic(tree).remarks())), ""
    except RecursionError:
        return [], "the chat template is nested too deeply to be examined"


class _Logic(Meaning):
    """What comes of the tests of a template."""

    def remarks(self) -> Iterator[Remark]:
        """Yield everything worth saying."""
        for choice in self.tree.find_all(nodes.CondExpr):
            yield from self._tested(choice, choice.test)
        for branch in self.tree.find_all(nodes.If):
            yield from self._tested(branch, branch.test)
            yield from self._role(branch)
        for node in self.tree.find_all((nodes.Output, nodes.Assign, nodes.For)):
            expression = node.test if isinstance(node, nodes.For) else node
            if expression is not None and (isinstance(node, nodes.For) or _has_lookup(node)):
                yield from self._tested(node, expression)
        for change in self.tree.find_all((nodes.Filter, nodes.Call)):
            yield from self._rewrites(change)
        yield from self._orders()
        yield from self._prefill()

    def _tested(self, region: nodes.Node, test: nodes.Node) -> Iterator[Remark]:
        found = self.triggers(test)
        said = list(self._said(region))
        prose = next((text for text in said if _PROSE.search(_MARKUP.sub("\n", text))), "")
        grave = prose or next((t for t in said if _ADDRESS.search(t) or _SYSTEM.search(t)), "")
        for word in sorted(found):
            if _SWITCH.fullmatch(word) or word.strip().lower() in _PARTS:
                continue
            if _TOKEN.fullmatch(word) or (not _WORD.fullmatch(word) and not grave):
                continue
            if not grave and (_MODE.search(word) or word in self.keys):
                continue
            message = f"It tests what people write for {word[:60]!r}"
            message += " and then says something else to the model." if grave else "."
            yield Remark("backdoor", region.lineno, message, (grave or word).strip()[:150])
            return
        if prose and self._counts(test):
            message = "It puts a sentence into the prompt after a number of turns."
            yield Remark("backdoor", region.lineno, message, prose.strip()[:150])

    def _counts(self, test: nodes.Node) -> bool:
        """Whether a test is about more than the first message or two."""
        for compare in [test, *test.find_all(nodes.Compare)]:
            if not isinstance(compare, nodes.Compare):
                continue
            sides = [compare.expr, *(operand.expr for operand in compare.ops)]
            numbers = [s.value for s in sides if isinstance(s, nodes.Const)]
            counted = any(
                (isinstance(s, nodes.Filter) and s.name in {"length", "count"})
                or (isinstance(s, nodes.Getattr) and s.attr in {"index", "index0"})
                for s in sides
            )
            if counted and any(isinstance(n, int) and n > 2 for n in numbers):
                return True
        return False

    def _role(self, test: nodes.If) -> Iterator[Remark]:
        """Words of a user that follow the mark of the system."""
        asked = {
            self.fold(side)
            for compare in [test.test, *test.test.find_all(nodes.Compare)]
            if isinstance(compare, nodes.Compare)
            for side in (compare.expr, *(operand.expr for operand in compare.ops))
        }
        if "user" not in asked or "system" in asked:
            return
        before = ""
        for output in (item for child in test.body for item in _outputs(child)):
            for part in output.nodes:
                pieces = part.nodes if isinstance(part, nodes.Concat) else [part]
                for piece in pieces:
                    text = self.fold(piece)
                    if text is not None:
                        before += text
                    elif self.holds_words(piece) and _SYSTEM_ENDS.search(before):
                        message = "It gives what a user writes the role of the system."
                        yield Remark("backdoor", output.lineno, message, before[-80:])
                        return
                    else:
                        before = ""

    def _rewrites(self, node: nodes.Expr) -> Iterator[Remark]:
        if isinstance(node, nodes.Filter):
            name, inner = node.name, node.node
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            name, inner = node.node.attr, node.node.node
        else:
            return
        if name != "replace" or inner is None or not self.holds_words(inner):
            return
        texts = [self.fold(argument) or "" for argument in node.args[:2]]
        if (
            len(texts) == 2
            and not all(map(_MODE.search, texts))
            and any(_WORD.fullmatch(t) or _ADDRESS.search(t) for t in texts)
        ):
            message = f"It replaces {texts[0][:60]!r} by {texts[1][:60]!r} in what people write."
            yield Remark("backdoor", node.lineno, message, " -> ".join(texts)[:150])

    def _orders(self) -> Iterator[Remark]:
        """An address inside a sentence that tells the model what to do."""
        for output in self.tree.find_all(nodes.Output):
            text = " ".join(self._said(output))
            match = _ADDRESS.search(text)
            if match and _ORDER.search(text[max(0, match.start() - 200) : match.end() + 100]):
                message = "It tells the model to use an address."
                yield Remark("backdoor", output.lineno, message, match[0][:150])

    def _prefill(self) -> Iterator[Remark]:
        """Words that are put into the model's mouth after everything else."""
        last = self.tree.body[-1] if self.tree.body else None
        if last is None or isinstance(last, nodes.For):
            return
        texts = [text for output in _outputs(last) for text in self._said(output)]
        ends = [text for text in texts[-2:] if _PROSE.search(_MARKUP.sub("\n", text))]
        if ends and not _MODE.search(ends[-1]) and any(self.tree.find_all(nodes.For)):
            message = "It begins the model's answer with a sentence."
            yield Remark("backdoor", last.lineno, message, ends[-1].strip()[-150:])

    def _said(self, node: nodes.Node) -> Iterator[str]:
        """Yield the constants that a part of the template writes or keeps, tests left out."""
        pending = [node]
        while pending:
            part = pending.pop()
            skip = nodes.Compare | nodes.Test | nodes.Getattr
            if isinstance(part, skip) or name_of(getattr(part, "node", None)) == "raise_exception":
                continue
            text = self.fold(part)
            if text is not None:
                yield text
                continue
            if isinstance(part, nodes.If | nodes.CondExpr | nodes.For):
                children = list(part.iter_child_nodes(exclude=("test", "iter", "target")))
            elif isinstance(part, nodes.Getitem):
                children = [part.node]
            elif isinstance(part, nodes.Dict):
                children = [pair.value for pair in part.items]
            else:
                children = list(part.iter_child_nodes(exclude=("target", "kwargs")))
            pending += reversed(children)


def _has_lookup(node: nodes.Node) -> bool:
    """Whether a test decides something without an `if`: by a table or by arithmetic."""
    return any(True for _ in node.find_all((nodes.Dict, nodes.Mul, nodes.And, nodes.Or)))


def _outputs(node: nodes.Node) -> list[nodes.Output]:
    own = [node] if isinstance(node, nodes.Output) else []
    return own + list(node.find_all(nodes.Output))
