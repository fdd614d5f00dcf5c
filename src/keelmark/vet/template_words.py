"""What names and expressions of a chat template stand for: constants, words of people, tests.

Over-approximate: a name that once holds what people write is taken to hold it always. Constants
are folded, so that a word in pieces is a word.
"""

from __future__ import annotations

from jinja2 import nodes

_MAX_CONSTANT = 64 * 1024
_PASSES = 6
TEXT_KEYS = {"content", "text"}
_SEARCHES = {"startswith", "endswith", "find", "rfind", "index", "rindex", "count", "__contains__"}
_FILTERS = {"regex_search", "regex_match", "search", "match", "contains", "regex_findall"}
_TESTS = {"in", "eq", "equalto", "==", "ne", "!=", "contains", "match", "search", "sameas"}
_PICKS = {"selectattr", "rejectattr"}
_NUMBERS = {"length", "count", "int", "float", "wordcount"}


class Meaning:
    """Names, constants and tests of one template."""

    def __init__(self, tree: nodes.Template) -> None:
        self.tree = tree
        self.constants: dict[str, str | None] = {}
        self.keys = {node.attr for node in tree.find_all(nodes.Getattr)}
        """Names of parts of messages, as far as this template asks for them."""
        for part in tree.find_all(nodes.Getitem):
            if isinstance(part.arg, nodes.Const) and isinstance(part.arg.value, str):
                self.keys.add(part.arg.value)
        self.words: set[str] = set()
        """Names that hold what people write."""
        self.flags: dict[str, set[str]] = {}
        """Names that hold the outcome of a test for words, and the words."""
        for _ in range(_PASSES):
            before = (len(self.words), len(self.constants), sum(map(len, self.flags.values())))
            self._learn()
            if before == (
                len(self.words),
                len(self.constants),
                sum(map(len, self.flags.values())),
            ):
                break

    # Learning what names stand for

    def _learn(self) -> None:
        macros = {macro.name: macro for macro in self.tree.find_all(nodes.Macro)}
        for node in self.tree.find_all((nodes.Assign, nodes.For, nodes.Call, nodes.AssignBlock)):
            if isinstance(node, nodes.Assign):
                self._assign(node.target, node.node)
            elif isinstance(node, nodes.For) and self.holds_words(node.iter):
                self._mark(node.target)
            elif isinstance(node, nodes.AssignBlock):
                if any(self.holds_words(e) for e in node.find_all(nodes.Expr)):
                    self._mark(node.target)
            elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
                macro = macros.get(node.node.name)
                for target, value in zip(macro.args if macro else (), node.args, strict=False):
                    self._assign(target, value)
        for test in self.tree.find_all(nodes.If):
            found = self.triggers(test.test)
            for inner in test.find_all(nodes.Assign) if found else ():
                self.flags.setdefault(key_of(inner.target), set()).update(found)

    def _assign(self, target: nodes.Node, value: nodes.Node) -> None:
        if isinstance(target, nodes.Tuple):
            values = value.items if isinstance(value, nodes.Tuple) else [value] * len(target.items)
            for each, one in zip(target.items, values, strict=False):
                self._assign(each, one)
            return
        name = key_of(target)
        if self.holds_words(value):
            self.words.add(name)
        if found := self.triggers(value):
            self.flags.setdefault(name, set()).update(found)
        text = self.fold(value)
        if name not in self.constants:
            self.constants[name] = text
        elif self.constants[name] != text:
            self.constants[name] = None
        if isinstance(value, nodes.Call) and name_of(value.node) == "namespace":
            for keyword in value.kwargs:
                if self.holds_words(keyword.value):
                    self.words.add(f"{name}.{keyword.key}")

    def _mark(self, target: nodes.Node) -> None:
        for item in target.items if isinstance(target, nodes.Tuple) else [target]:
            self.words.add(key_of(item))

    # What an expression is

    def holds_words(self, node: nodes.Node | None) -> bool:
        """Whether an expression is, or is made of, what people write."""
        if node is None or isinstance(node, nodes.Compare | nodes.Test | nodes.Not):
            return False
        if key_of(node) in self.words:
            return True
        if isinstance(node, nodes.Getattr):
            return node.attr in TEXT_KEYS
        if isinstance(node, nodes.Getitem):
            if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
                return node.arg.value in TEXT_KEYS
            return self.holds_words(node.node)
        if isinstance(node, nodes.Call):
            if isinstance(node.node, nodes.Getattr):
                return node.node.attr not in _SEARCHES and self.holds_words(node.node.node)
            return any(self.holds_words(argument) for argument in node.args)
        return self._made_of_words(node)

    def _made_of_words(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Filter):
            return node.name not in _NUMBERS and self.holds_words(node.node)
        if isinstance(node, nodes.CondExpr):
            return self.holds_words(node.expr1) or self.holds_words(node.expr2)
        parts = nodes.Concat | nodes.BinExpr | nodes.List | nodes.Tuple
        return isinstance(node, parts) and any(map(self.holds_words, node.iter_child_nodes()))

    def fold(self, node: nodes.Node | None) -> str | None:
        """Return the text that an expression always is, or None."""
        text: str | None = None
        if isinstance(node, nodes.Const):
            text = node.value if isinstance(node.value, str) else None
        elif isinstance(node, nodes.TemplateData):
            text = node.data
        elif isinstance(node, nodes.Name | nodes.Getattr) and key_of(node) in self.constants:
            text = self.constants[key_of(node)]
        elif isinstance(node, nodes.Concat | nodes.Add):
            text = self._joined(list(node.iter_child_nodes()), "")
        elif isinstance(node, nodes.Filter) and node.node is not None:
            text = self._filtered(node)
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            inner, method = node.node.node, node.node.attr
            base = self.fold(inner)
            if method == "join" and base is not None and len(node.args) == 1:
                text = self._joined(_items(node.args[0]), base)
            elif method in {"lower", "upper", "strip", "title"} and base is not None:
                text = str(getattr(base, method)())
        return text[:_MAX_CONSTANT] if text is not None else None

    def _filtered(self, node: nodes.Filter) -> str | None:
        if node.name == "join":
            separator = self.fold(node.args[0]) if node.args else ""
            return None if separator is None else self._joined(_items(node.node), separator)
        base = self.fold(node.node)
        if base is None:
            return None
        changed = {"lower": base.lower(), "upper": base.upper(), "trim": base.strip()}
        return {**changed, "string": base, "reverse": base[::-1]}.get(node.name)

    def _joined(self, items: list[nodes.Node], separator: str) -> str | None:
        texts = [self.fold(item) for item in items]
        known = [text for text in texts if text is not None]
        return separator.join(known) if texts and len(known) == len(texts) else None

    def _texts(self, node: nodes.Node) -> list[str]:
        if isinstance(node, nodes.Dict):
            node = nodes.List([pair.key for pair in node.items])
        options = [self.fold(item) for item in _items(node)] or [self.fold(node)]
        return [text for text in options if text is not None]

    # What is tested

    def triggers(self, node: nodes.Node) -> set[str]:
        """Return the constants that an expression looks for in what people write."""
        found: set[str] = set()
        for part in [node, *node.find_all(nodes.Expr)]:
            found.update(self.flags.get(key_of(part), ()))
            if isinstance(part, nodes.Compare):
                found.update(self._compared(part))
            elif isinstance(part, nodes.Call) and isinstance(part.node, nodes.Getattr):
                inner, method = part.node.node, part.node.attr
                searched = method in _SEARCHES and self.holds_words(inner)
                if searched and part.args:
                    found.update(self._texts(part.args[0]))
                elif isinstance(inner, nodes.Dict) and any(map(self.holds_words, part.args)):
                    found.update(self._texts(inner))
            elif isinstance(part, nodes.Getitem) and isinstance(part.node, nodes.Dict):
                found.update(self._texts(part.node) if self.holds_words(part.arg) else ())
            elif isinstance(part, nodes.Filter | nodes.Test):
                found.update(self._asked(part))
        return found

    def _compared(self, node: nodes.Compare) -> list[str]:
        left, found = node.expr, []
        for operand in node.ops:
            if operand.op in {"in", "notin", "eq", "ne"}:
                for words, other in ((left, operand.expr), (operand.expr, left)):
                    if self.holds_words(words):
                        found += self._texts(other)
            left = operand.expr
        return found

    def _asked(self, node: nodes.Filter | nodes.Test) -> list[str]:
        names = _FILTERS if isinstance(node, nodes.Filter) else _TESTS
        arguments = node.args or []
        if node.name in names and node.node is not None and self.holds_words(node.node):
            return [text for argument in arguments for text in self._texts(argument)]
        if node.name in _PICKS and arguments and self.fold(arguments[0]) in TEXT_KEYS:
            return [text for argument in arguments[2:] for text in self._texts(argument)]
        return []


def _items(node: nodes.Node | None) -> list[nodes.Node]:
    return list(node.items) if isinstance(node, nodes.List | nodes.Tuple) else []


def name_of(node: nodes.Node | None) -> str:
    """Return the name that an expression is, or ""."""
    return node.name if isinstance(node, nodes.Name) else ""


def key_of(node: nodes.Node) -> str:
    """Return how a variable is called here: `name`, or `name.attribute` of a namespace."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.NSRef):
        return f"{node.name}.{node.attr}"
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return ""
