"""Tables in Markdown."""

from markdown_table import table


def test_a_bar_in_a_cell_is_no_border() -> None:
    assert table(("", "ms"), [("a|b", 1.5)]) == "|  | ms |\n| --- | --- |\n| a\\|b | 1.5 |"
