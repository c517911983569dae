"""What a map server says of itself (OGC WMTS 1.0.0): days and layers walk in, an XML document walks out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from runtime.common.clock import day_runs
from runtime.output import colours
from service.maps import LayerName
from service.tiles import MAX_ZOOM, SIZE, MatrixSet, matrix_size, scale_denominator
from service.xml_parts import xml_document, xml_element

NEWEST = "newest"
"""In place of a date: the newest day of the archive."""

_NAMESPACES = {
    "": "http://www.opengis.net/wmts/1.0",
    "ows": "http://www.opengis.net/ows/1.1",
    "xlink": "http://www.w3.org/1999/xlink",
}
_CRS = {MatrixSet.MERCATOR: "urn:ogc:def:crs:EPSG::3857", MatrixSet.DEGREES: "urn:ogc:def:crs:OGC:1.3:CRS84"}
_SCALE_SETS = {MatrixSet.MERCATOR: "GoogleMapsCompatible", MatrixSet.DEGREES: "GoogleCRS84Quad"}
_TOP_LEFT = {MatrixSet.MERCATOR: "-20037508.342789244 20037508.342789244", MatrixSet.DEGREES: "-180 90"}
_TITLES = {LayerName.FLAG: "Where a value comes from", LayerName.QUALITY_FLAG: "Why a value may be wrong"}


@dataclass(frozen=True)
class Offered:
    """What is offered."""

    title: str
    licence: str
    address: str
    """Of the server, without a slash at its end."""
    days: Sequence[dt.date]
    """In order; at least one."""
    layers: Sequence[LayerName]
    bounds: tuple[float, float, float, float]
    """Western, southern, eastern and northern edge of the grid, degrees."""


def layer_title(layer: LayerName) -> str:
    """Return the title of a layer."""
    return _TITLES.get(layer) or colours.SCALES[layer].title


def day_ranges(days: Iterable[dt.date]) -> list[str]:
    """Return days as ISO 8601 periods, one for each run of days without a gap."""
    return [str(first) if first == last else f"{first}/{last}/P1D" for first, last in day_runs(days)]


def capabilities_document(offered: Offered) -> bytes:
    """Return the document that a client reads first.

    Parameters
    ----------
    offered : Offered
        What is offered.

    Returns
    -------
    bytes
        XML. Tiles are offered by their addresses alone (the RESTful binding).
    """
    for prefix, address in _NAMESPACES.items():
        ElementTree.register_namespace(prefix, address)
    root = _element(
        "Capabilities",
        _element(
            "ows:ServiceIdentification",
            _element("ows:Title", offered.title),
            _element("ows:ServiceType", "OGC WMTS"),
            _element("ows:ServiceTypeVersion", "1.0.0"),
            _element("ows:AccessConstraints", offered.licence),
        ),
        _element(
            "Contents",
            *(_layer_element(layer, offered) for layer in offered.layers),
            *(_matrix_set_element(matrix_set) for matrix_set in MatrixSet),
        ),
        _element("ServiceMetadataURL", **{"xlink:href": f"{offered.address}/wmts/1.0.0/WMTSCapabilities.xml"}),
        version="1.0.0",
    )
    return xml_document(root)


def _layer_element(layer: LayerName, offered: Offered) -> ElementTree.Element:
    """Return a layer with its days."""
    west, south, east, north = offered.bounds
    template = f"{offered.address}/tiles/{layer}/{{Time}}/{{TileMatrixSet}}/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.png"
    return _element(
        "Layer",
        _element("ows:Title", layer_title(layer)),
        _element(
            "ows:WGS84BoundingBox",
            _element("ows:LowerCorner", f"{west:g} {south:g}"),
            _element("ows:UpperCorner", f"{east:g} {north:g}"),
        ),
        _element("ows:Identifier", layer),
        _element("Style", _element("ows:Identifier", "default"), isDefault="true"),
        _element("Format", "image/png"),
        _element(
            "Dimension",
            _element("ows:Identifier", "Time"),
            _element("Default", str(offered.days[-1])),
            *(_element("Value", days) for days in day_ranges(offered.days)),
        ),
        *(_element("TileMatrixSetLink", _element("TileMatrixSet", matrix_set)) for matrix_set in MatrixSet),
        _element("ResourceURL", format="image/png", resourceType="tile", template=template),
    )


def _matrix_set_element(matrix_set: MatrixSet) -> ElementTree.Element:
    """Return a tile matrix set with all its zooms."""
    return _element(
        "TileMatrixSet",
        _element("ows:Identifier", matrix_set),
        _element("ows:SupportedCRS", _CRS[matrix_set]),
        _element("WellKnownScaleSet", f"http://www.opengis.net/def/wkss/OGC/1.0/{_SCALE_SETS[matrix_set]}"),
        *(_matrix_element(matrix_set, zoom) for zoom in range(MAX_ZOOM + 1)),
    )


def _matrix_element(matrix_set: MatrixSet, zoom: int) -> ElementTree.Element:
    """Return one zoom of a tile matrix set."""
    cols, rows = matrix_size(matrix_set, zoom)
    sizes = {"TileWidth": SIZE, "TileHeight": SIZE, "MatrixWidth": cols, "MatrixHeight": rows}
    return _element(
        "TileMatrix",
        _element("ows:Identifier", str(zoom)),
        _element("ScaleDenominator", repr(scale_denominator(matrix_set, zoom))),
        _element("TopLeftCorner", _TOP_LEFT[matrix_set]),
        *(_element(name, str(size)) for name, size in sizes.items()),
    )


def _element(name: str, *content: ElementTree.Element | str, **attributes: str) -> ElementTree.Element:
    """Return an element with a text or with other elements in it; names have prefixes."""
    named = {_full_name(key) if ":" in key else key: value for key, value in attributes.items()}
    return xml_element(_full_name(name), named, *content)


def _full_name(name: str) -> str:
    """Return a name with its prefix as ElementTree wants it."""
    prefix, _, local = name.rpartition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"
