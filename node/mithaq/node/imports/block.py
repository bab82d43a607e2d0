"""Taking an entry apart without leaving anything behind.

A `Block` gives out the parts of an element by name, each once; `finish` raises
for text that nobody asked for. So a list that grows a new element fails loudly,
entry by entry, instead of losing it.
"""

from mithaq.node.imports.elements import Element
from mithaq.node.imports.errors import EntryError


class Block:
    """An element whose parts are being taken; paths are those of the list."""

    def __init__(self, element: Element, path: str) -> None:
        """Refuse what has no place in a record: attributes, and text between elements."""
        self.path = path
        self.line = element.line
        if element.attributes:
            raise EntryError("no attributes are known here", path=path, line=element.line)
        if element.children and element.text.strip():
            raise EntryError("text between elements", path=path, line=element.line)
        self._left: dict[str, list[Element]] = {}
        for child in element.children:
            self._left.setdefault(child.tag, []).append(child)

    def text(self, tag: str) -> str:
        """Return the text of the one leaf of this name, exactly; "" where it says nothing."""
        found = self._left.pop(tag, [])
        if len(found) > 1:
            raise EntryError("stands twice", path=f"{self.path}/{tag}", line=found[1].line)
        return self._leaf_text(found[0]) if found else ""

    def texts(self, tag: str, inner: str) -> list[str]:
        """Return the texts of the leaves `inner` in all elements of this name, in order."""
        values: list[str] = []
        for block in self.blocks(tag):
            values += block.each(inner)
            block.finish()
        return values

    def each(self, tag: str) -> list[str]:
        """Return the texts of all leaves of this name, in order."""
        return [text for leaf in self._left.pop(tag, []) if (text := self._leaf_text(leaf))]

    def blocks(self, tag: str) -> list["Block"]:
        """Return the elements of this name as blocks of their own, in order."""
        found = self._left.pop(tag, [])
        return [Block(element, f"{self.path}/{tag}") for element in found]

    def finish(self) -> None:
        """Raise EntryError where something said was not taken."""
        for tag, elements in self._left.items():
            for element in elements:
                if _says_something(element):
                    raise EntryError(
                        "the element is not known to this version",
                        path=f"{self.path}/{tag}",
                        line=element.line,
                    )

    def fail(self, tag: str, expected: str) -> EntryError:
        """Return the error for a leaf of this block that is not as expected."""
        return EntryError(expected, path=f"{self.path}/{tag}", line=self.line)

    def _leaf_text(self, element: Element) -> str:
        path = f"{self.path}/{element.tag}"
        if not element.is_leaf:
            raise EntryError("a leaf holds elements", path=path, line=element.line)
        if element.attributes:
            raise EntryError("no attributes are known here", path=path, line=element.line)
        return element.text if element.text.strip() else ""


def _says_something(element: Element) -> bool:
    if element.attributes or element.text.strip():
        return True
    return any(map(_says_something, element.children))
