"""XML: names, attributes and contents walk in, an element walks out."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree


def xml_element(name: str, attributes: Mapping[str, str], *content: ElementTree.Element | str) -> ElementTree.Element:
    """Return an element with a text or with other elements in it."""
    builder: ElementTree.TreeBuilder = ElementTree.TreeBuilder()
    builder.start(name, dict(attributes))
    for part in content:
        if isinstance(part, str):
            builder.data(part)
    builder.end(name)
    element = builder.close()
    element.extend([part for part in content if not isinstance(part, str)])
    return element


def xml_document(root: ElementTree.Element) -> bytes:
    """Return an element as a document in UTF-8."""
    document: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return document
