import re

from darkroom.client import errors


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"── (\w+)", errors.__doc__ or "")
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    below = [each.__name__ for each in kinds if issubclass(each, errors.ClientError)]
    assert sorted(drawn) == sorted(set(below) - {"ClientError"})
