"""Reading large XML lists: a hardened, streaming parser that yields entry by entry.

The parser (expat, by way of defusedxml) refuses a document type, an entity and any
instruction, so that no entity can grow and no file or address is opened. Bytes go in
as they come; what is held is one entry. The rule: text is kept exactly as XML gives
it, and whatever an entry holds is either in the tree or an error.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

from defusedxml import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from mithaq.node.imports.errors import (
    ListForbiddenError,
    ListMalformedError,
    ListTooLargeError,
)

LIST_SIZE_BYTES_MAX: Final = 256 * 1024 * 1024
# The longest entry known has 17 thousand letters, and 90 elements.
ENTRY_CHARS_MAX: Final = 256 * 1024
ENTRY_ELEMENTS_MAX: Final = 4_096
DEPTH_MAX: Final = 8


@dataclass(slots=True)
class Element:
    """An element of an entry: text if it has no children, else children in order."""

    tag: str
    line: int
    attributes: tuple[str, ...] = ()
    text: str = ""
    children: list["Element"] = field(default_factory=list["Element"])

    @property
    def is_leaf(self) -> bool:
        """Whether it holds no other element."""
        return not self.children


@dataclass(frozen=True, slots=True)
class Root:
    """The list's own element: its tag and attributes."""

    tag: str
    attributes: dict[str, str]
    line: int


def read_elements(chunks: Iterable[bytes], entry_tags: Collection[str]) -> Iterator[Root | Element]:
    """Yield the root and then every element with one of these tags, as soon as it ends.

    Raises ListError where the file is not well-formed, not whole, or forbidden.
    """
    parser = DefusedExpatParser(forbid_dtd=True)
    events = _Events(frozenset(entry_tags), parser)
    parser.setContentHandler(events)
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > LIST_SIZE_BYTES_MAX:
            raise ListTooLargeError(
                f"a list has at most {LIST_SIZE_BYTES_MAX} bytes", line=events.line
            )
        _feed(parser, chunk)
        yield from events.taken()
    _feed(parser, None)
    if not events.began:
        # The parser takes an empty file for a whole one.
        raise ListMalformedError("the file is empty", line=1)
    yield from events.taken()


def _feed(parser: DefusedExpatParser, chunk: bytes | None) -> None:
    """Give the parser a chunk, or the end."""
    try:
        if chunk is None:
            parser.close()
        else:
            parser.feed(chunk)
    except DefusedXmlException:
        raise ListForbiddenError(
            "a document type or an entity; a list needs neither",
            line=parser.getLineNumber() or 1,
        ) from None
    except SAXParseException as error:
        # The parser's words may quote the file.
        raise ListMalformedError(
            "the XML is not well-formed or ends early", line=error.getLineNumber() or 1
        ) from None
    except (LookupError, ValueError):
        # Unknown to Python, no text, or of several bytes a character: expat asks codecs.
        raise ListMalformedError("in no encoding that can be read; use UTF-8", line=1) from None


class _Events(ContentHandler):
    """Builds the tree of the entry that is being read, and no other."""

    def __init__(self, entry_tags: frozenset[str], position: Locator) -> None:
        super().__init__()
        self._entry_tags = entry_tags
        self._position = position
        self.began = False
        self._ready: list[Root | Element] = []
        self._open: list[Element] = []
        self._depth = 0
        self._chars = 0
        self._elements = 0

    @property
    def line(self) -> int:
        """The line that is being read, from 1."""
        return self._position.getLineNumber() or 1

    def taken(self) -> list[Root | Element]:
        """Return what has been read to its end since the last call."""
        ready, self._ready = self._ready, []
        return ready

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802  SAX's name
        """Open an element."""
        self._depth += 1
        if self._depth == 1:
            self.began = True
            self._ready.append(Root(name, dict(attrs.items()), self.line))
        elif self._open or name in self._entry_tags:
            self._begin(name, tuple(attrs.keys()))
        if self._depth > DEPTH_MAX:
            raise ListTooLargeError(f"elements lie at most {DEPTH_MAX} deep", line=self.line)

    def endElement(self, name: str) -> None:  # noqa: ARG002, N802  SAX's name
        """Close an element; an entry is then ready."""
        self._depth -= 1
        if not self._open:
            return
        closed = self._open.pop()
        if self._open:
            self._open[-1].children.append(closed)
        else:
            self._ready.append(closed)
            self._chars = self._elements = 0

    def characters(self, content: str) -> None:
        """Take text, which may come in pieces."""
        if not self._open:
            if content.strip():
                raise ListMalformedError("text outside an entry", line=self.line)
            return
        self._chars += len(content)
        if self._chars > ENTRY_CHARS_MAX:
            raise ListTooLargeError(
                f"an entry has at most {ENTRY_CHARS_MAX} letters", line=self.line
            )
        self._open[-1].text += content

    def processingInstruction(self, target: str, data: str) -> None:  # noqa: ARG002, N802  SAX's
        """Refuse it: a list says nothing to programs."""
        raise ListForbiddenError("a processing instruction", line=self.line)

    def _begin(self, name: str, attributes: tuple[str, ...]) -> None:
        self._elements += 1
        if self._elements > ENTRY_ELEMENTS_MAX:
            raise ListTooLargeError(
                f"an entry has at most {ENTRY_ELEMENTS_MAX} elements", line=self.line
            )
        self._open.append(Element(name, self.line, attributes))
