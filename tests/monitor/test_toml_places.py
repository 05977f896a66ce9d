"""Where values stand in a TOML file: every form of key and value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.toml_places import Place, find_place, find_table

TEXT = '''# a comment with [[watch]] and "quotes"
title = "x"

[[watch]]
name = 'first'   # = not this one
numbers = [
  "+1",          # "not this"
  "+2", "+3",
]
expect.days = 5
[watch.expect.more]
deep = { a = 1, b = [true, "x"] }

[[watch]]
name = """multi
line ] = "quoted" """
"odd key" = 1979-05-27T07:32:00Z
numbers = ["+4"]
  [[watch.sub]]
  x = 1.5
  [[watch.sub]]
  x = [ [1, 2], [3] ]
'''


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("title",), (2, 9)),
        (("watch", 0), (4, 1)),
        (("watch", 0, "name"), (5, 8)),
        (("watch", 0, "numbers"), (6, 11)),
        (("watch", 0, "numbers", 0), (7, 3)),
        (("watch", 0, "numbers", 2), (8, 9)),
        (("watch", 0, "expect", "days"), (10, 15)),
        (("watch", 0, "expect", "more", "deep", "b", 1), (12, 28)),
        (("watch", 1), (14, 1)),
        (("watch", 1, "name"), (15, 8)),
        (("watch", 1, "odd key"), (17, 13)),
        (("watch", 1, "numbers", 0), (18, 12)),
        (("watch", 1, "sub", 1, "x", 1, 0), (22, 18)),
        (("watch", 1, "numbers", 9), (18, 11)),
        (("watch", 1, "nothing"), (14, 1)),
        (("elsewhere",), (1, 1)),
        ((), (1, 1)),
    ],
)
def test_values(path, place):
    assert find_place(TEXT, path) == Place(*place)


def test_keys():
    assert find_place(TEXT, ("watch", 1, "odd key"), of_key=True) == Place(17, 1)
    assert find_place(TEXT, ("watch", 0, "expect", "more", "deep", "b"), of_key=True) == Place(12, 17)
    assert find_place(TEXT, ("watch", 0, "expect", "days"), of_key=True) == Place(10, 1)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1, max_size=5), st.integers(0, 4))
def test_any_strings(texts, at):
    """Whatever stands in the strings before it, each string is found where it is."""
    at %= len(texts)
    written = [f"'{text}'" if "'" not in text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
               for text in texts]  # fmt: skip
    text = "[[a]]\nb = [\n" + ",\n".join(written) + "]\n"
    assert find_place(text, ("a", 0, "b", at)) == Place(3 + at, 1)


@pytest.mark.parametrize(
    ("text", "path", "cut"),
    [
        ("a = 1\n[[l]]\nb = 2\n\n# c\n[[l]]\nd = 3\n", ("l", 0), "[[l]]\nb = 2\n"),
        ("a = 1\n[[l]]\nb = 2\n\n# c\n[[l]]\nd = 3\n", ("l", 1), "[[l]]\nd = 3\n"),
        ('  [[l]] # x\nb = """\n[[l]]\n""" # y\n\n\n', ("l", 0), '  [[l]] # x\nb = """\n[[l]]\n""" # y\n'),
        ("[[l]]\nb = [\n1,\n# [[l]]\n2]", ("l", 0), "[[l]]\nb = [\n1,\n# [[l]]\n2]"),
        ("[[l]]\n[[l]]\n", ("l", 0), "[[l]]\n"),
    ],
)
def test_the_lines_of_a_table(text, path, cut):
    lo, hi = find_table(text, path)
    assert text[lo:hi] == cut


@pytest.mark.parametrize(("text", "path"), [("l = [{b = 1}]\n", ("l", 0)), ("[[l]]\n", ("l", 1)), ("", ("l", 0))])
def test_a_table_without_a_header(text, path):
    assert find_table(text, path) is None
