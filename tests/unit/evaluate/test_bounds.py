"""Templates of strangers: they can use what a suite needs, and cannot fill the memory."""

import subprocess
import sys

import pytest

from keelmark.core.errors import UsageError
from keelmark.evaluate.templates import filled, worked_out

ROW = {"text": "ab", "n": 3, "items": ["a", "b"], "by": {"k": "v"}, "label": ["A", "B"]}
DOUBLED = "{{% set a = {0} %}}" + "{{% set a = {1} %}}" * 60 + "{{{{ {2} }}}}"


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{{ text ~ n ~ text }}", "ab3ab"),
        ("{% for one in items %}{{ loop.index0 + 1 }}{{ one }} {% endfor %}", "1a 2b "),
        ("{{ items | join(', ') }}", "a, b"),
        ("{{ items | map('upper') | join }}", "AB"),
        ("{{ text | replace('a', '') }}{{ text[:1] }}{{ text.strip('b') }}", "baa"),
        ("{{ by.k }}{{ by['k'] }}{{ by.get('x') }}", "vvNone"),
        ("{{ n * 2 - 1 }} {{ -n }} {{ 7 // n }} {{ 7 % n }} {{ n / 2 }}", "5 -3 2 1 1.5"),
        ("{{ 'many' if n > 2 and text == 'ab' else 'few' }}", "many"),
        ("{% for at in range(3) %}{{ letters[at] }}{% endfor %}", "ABC"),
        ("{{ nothing | default('-') }}{{ items | length }}{{ by | tojson }}", '-2{"k": "v"}'),
        ("{{ items }}", "['a', 'b']"),
    ],
)
def test_what_suites_need_is_there(template, wanted):
    assert filled(template, ROW, "here") == wanted


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ('{{ "x" * 10000000000 }}', "is for numbers"),
        ('{{ "x" * 10**10 }}', "may not use Pow"),
        ("{{ items + items }}", "put together with ~"),
        ("{{ '%9000000000d' % 1 }}", "is for numbers"),
        ("{{ text.ljust(9000000000) }}", "may call range and methods such as strip; filters"),
        ("{{ text['ljust'](9000000000) }}", "may call range and methods such as strip; filters"),
        ("{{ '{:9000000000}'.format(1) }}", "may call range and methods such as strip; filters"),
        ("{{ lipsum(n=90000000) }}", "may call range and methods such as strip; filters"),
        ("{{ text | center(9000000000) }}", "No filter named 'center'"),
        ("{{ range(9000000000) }}", "Range too big"),
        ("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "may not use Macro"),
        ("{% set a %}{{ text }}{% endset %}", "may not use AssignBlock"),
        ("{{ text.__class__ }}", "is unsafe"),
        ("{{ text" + " | tojson" * 300 + " }}", "nested"),
        (
            "{% for a in range(90000) %}{% for b in range(90000) %}" + "x" * 999 + "{{ b }}"
            "{% endfor %}{% endfor %}",
            "longer than 32 million characters",
        ),
        (DOUBLED.format("'x'", "a ~ a", "a"), "longer than 32 million characters"),
        (DOUBLED.format("'x'", "a | replace('x', a ~ a)", "a"), "longer than 32 million"),
        (DOUBLED.format("'xx'", "['', ''] | join(a ~ a)", "a"), "longer than 32 million"),
        (DOUBLED.format("'\"'", "a | tojson", "a"), "longer than 32 million"),
        (DOUBLED.format("['x']", "[a, a]", "a"), "more than a million others"),
        (DOUBLED.format("['x']", "{'a': a, 'b': a}", "a | tojson"), "more than a million others"),
        (DOUBLED.format("['x']", "[a, a]", "a | string"), "more than a million others"),
        (DOUBLED.format("9", "a * a", "a"), "below 2**64"),
    ],
)
def test_nothing_fills_the_memory(template, why):
    with pytest.raises(UsageError, match="here: the template cannot be filled in") as error:
        filled(template, ROW, "here")
    assert why in error.value.message


def test_formulas_have_the_same_bounds():
    assert worked_out("label.index('B')", ROW, "here") == 1
    with pytest.raises(UsageError, match="cannot be worked out: `\\*` is for numbers"):
        worked_out("text * 9000000000", ROW, "here")


def test_the_bounds_hold_in_little_memory():
    """What is refused is refused before it is made."""
    bombs = [DOUBLED.format("'x'", "a ~ a", "a"), DOUBLED.format("['x']", "[a, a]", "a")]
    code = f"""
import resource
from keelmark.core.errors import UsageError
from keelmark.evaluate.templates import filled
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
for template in {bombs}:
    try: filled(template, {{}}, "here")
    except UsageError: print("refused")
print(peak() - before)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[:2] == ["refused", "refused"]
    assert int(said[2]) < 200_000  # KiB; a new process begins with its parent's peak
