"""The door to YAML: strict reading, so that a key written twice is a mistake and not a silent choice."""

from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"
_MERGED_MAX = 10_000  # in one mapping: ten anchors that merge ten each, ten deep, would fill any memory


class DocumentError(ValueError):
    """The text is not the YAML it should be; the message says where and why."""


def read_yaml(text: str) -> Any:
    """Plain data from one YAML document. Raises DocumentError for bad syntax and duplicate keys."""
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - derived from SafeLoader
    except yaml.YAMLError as error:
        raise DocumentError(_where_and_why(error)) from None


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys, which YAML itself forbids and PyYAML lets the last one win.

    What is merged (`<<: *anchor`) is not written there: a mapping may say it otherwise.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._looked_at: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what is merged among what is written. Whoever merges this mapping asks for it before its own turn has
        come, so it is looked at here, once, while it holds only what is written."""
        if id(node) in self._looked_at:
            return
        self._looked_at.add(id(node))
        self._refuse_duplicates(node)
        written = len(node.value)
        super().flatten_mapping(node)
        if len(node.value) > max(written, _MERGED_MAX):
            raise _refused(node, f"more than {_MERGED_MAX} entries are merged here")

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key_node, _ in node.value:
            # No value can be made of the merge key; it is no name either, and one is enough: it takes a list.
            is_merge = key_node.tag == _MERGE
            key = key_node.value if is_merge else self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict):
                continue  # SafeLoader itself refuses an unhashable key, in its own words
            if key in seen and is_merge:
                raise _refused(key_node, "<< stands twice; merge several with << and a list of them")
            if key in seen and not isinstance(key, str):  # 1, 1.0 and true are one key, whatever the file calls them
                raise _refused(key_node, "a number, true or false stands twice as a name; put names in quotes")
            if key in seen:
                raise _refused(key_node, f"{key!r} stands twice")
            seen.add(key)


def _refused(node: yaml.Node, why: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, why, node.start_mark)


def _where_and_why(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error)
