import re
from collections import Counter

from contract import errors
from contract.errors import DarkroomError


def ours() -> list[type[DarkroomError]]:
    return [leaf for leaf in DarkroomError.leaves() if leaf.__module__ == errors.__name__]


def test_every_leaf_has_a_code_of_its_own() -> None:
    codes = Counter(leaf.code for leaf in ours())
    assert set(codes.values()) == {1}
    assert DarkroomError.code not in codes


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = dict(re.findall(r"── (\w+) +(\w+)$", errors.__doc__ or "", re.MULTILINE))
    assert errors.ExecutionLost.__name__ in (errors.__doc__ or "")
    raised = {leaf.__name__: leaf.code for leaf in ours() if leaf is not errors.ExecutionLost}
    assert drawn == raised


def test_every_leaf_has_a_title_of_its_own() -> None:
    assert all(leaf.title != DarkroomError.title for leaf in ours())
