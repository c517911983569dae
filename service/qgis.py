"""Files for QGIS: layers and the server's address walk in, a project or the style of a layer walks out."""

from __future__ import annotations

from urllib.parse import urlencode
from xml.etree import ElementTree

import numpy as np

from runtime.output import colours
from service.maps import LayerName
from service.tiles import MatrixSet
from service.wmts import NEWEST, Offered, layer_title
from service.xml_parts import xml_document, xml_element

_VERSION = "3.22.0"
"""The oldest version of QGIS that has been tried."""
_CRS, _PROJ = "EPSG:4326", "+proj=longlat +datum=WGS84 +no_defs"


def project_document(offered: Offered, day: str = NEWEST) -> bytes:
    """Return a QGIS project with the layers of the map server.

    Parameters
    ----------
    offered : Offered
        What the map server offers.
    day : str
        The date that the layers show, or `NEWEST`.

    Returns
    -------
    bytes
        XML. Soil moisture is switched on.
    """
    extent = dict(zip(("xmin", "ymin", "xmax", "ymax"), offered.bounds, strict=True))
    sources = {layer: _source(offered.address, layer, day) for layer in offered.layers}
    root = xml_element(
        "qgis",
        {"projectname": offered.title, "version": _VERSION},
        xml_element("title", {}, offered.title),
        xml_element(
            "properties", {}, xml_element("SpatialRefSys", {}, xml_element("ProjectionsEnabled", {"type": "int"}, "1"))
        ),
        xml_element("projectCrs", {}, _crs()),
        xml_element(
            "mapcanvas",
            {"name": "theMapCanvas"},
            xml_element("units", {}, "degrees"),
            xml_element("extent", {}, *(xml_element(name, {}, f"{value:g}") for name, value in extent.items())),
            xml_element("destinationsrs", {}, _crs()),
        ),
        xml_element("layer-tree-group", {}, *(_tree_layer(layer, source) for layer, source in sources.items())),
        xml_element("projectlayers", {}, *(_map_layer(layer, source) for layer, source in sources.items())),
    )
    return xml_document(root)


def style_document(layer: LayerName) -> bytes:
    """Return the style with which QGIS shows a variable of a daily file as the page does.

    Parameters
    ----------
    layer : LayerName
        The layer.

    Returns
    -------
    bytes
        XML (QML).
    """
    kind = {"band": "1", "opacity": "1", "alphaBand": "-1"}
    if layer in colours.CATEGORIES:
        entries = [
            xml_element("paletteEntry", {"value": str(value), "color": colour, "label": meaning, "alpha": "255"})
            for value, meaning, colour in _palette(layer)
        ]
        content = xml_element("colorPalette", {}, *entries)
        kind |= {"type": "paletted"}
    else:
        scale = colours.SCALES[layer]
        values = [f"{value:.6g}" for value in np.linspace(scale.low, scale.high, colours.STEPS)]
        items = [
            xml_element("item", {"value": value, "color": colour, "label": value, "alpha": "255"})
            for value, colour in zip(values, scale.colours, strict=True)
        ]
        ends = {"minimumValue": values[0], "maximumValue": values[-1]}
        options = {"colorRampType": "INTERPOLATED", "classificationMode": "1", "clip": "0", **ends}
        content = xml_element("rastershader", {}, xml_element("colorrampshader", options, *items))
        kind |= {"type": "singlebandpseudocolor", "classificationMin": values[0], "classificationMax": values[-1]}
    pipe = xml_element("pipe", {}, xml_element("rasterrenderer", kind, content))
    return xml_document(xml_element("qgis", {"version": _VERSION, "styleCategories": "Symbology"}, pipe))


def _palette(layer: LayerName) -> list[tuple[int, str, str]]:
    """Return each value that a variable with categories may have in a file, with its meaning and its colour."""
    known = colours.CATEGORIES[layer]
    if layer is not LayerName.QUALITY_FLAG:
        return [(value, meaning, colour) for value, (meaning, colour) in known.items()]
    values = np.arange(1, 2 * max(known))  # a cell may have several bits
    found = [(0, f"{known[0][0]}, or no value", known[0][1])]
    for value, first in zip(values.tolist(), colours.first_bits(values).tolist(), strict=True):
        found.append((value, " and ".join(known[bit][0] for bit in known if bit & value), known[first][1]))
    return found


def _tree_layer(layer: LayerName, source: str) -> ElementTree.Element:
    """Return a layer in the project's list."""
    checked = "Qt::Checked" if layer is LayerName.SOIL_MOISTURE else "Qt::Unchecked"
    named = {"id": _layer_id(layer), "name": layer_title(layer)}
    return xml_element("layer-tree-layer", {**named, "checked": checked, "providerKey": "wms", "source": source})


def _map_layer(layer: LayerName, source: str) -> ElementTree.Element:
    """Return a layer of the project."""
    texts = {"id": _layer_id(layer), "datasource": source, "layername": layer_title(layer), "provider": "wms"}
    parts = [xml_element(name, {}, text) for name, text in texts.items()]
    return xml_element("maplayer", {"type": "raster"}, *parts, xml_element("srs", {}, _crs()))


def _layer_id(layer: LayerName) -> str:
    """Return a layer's name in the project; QGIS replaces a short one by a name of its own."""
    return f"seamless_{layer}"


def _source(address: str, layer: LayerName, day: str) -> str:
    """Return how QGIS names a layer of a map server."""
    parameters = {
        "contextualWMSLegend": "0",
        "crs": "OGC:CRS84",
        "dpiMode": "7",
        "format": "image/png",
        "layers": str(layer),
        "styles": "default",
        "tileMatrixSet": str(MatrixSet.DEGREES),
        "tileDimensions": f"Time={day}",
        "url": f"{address}/wmts/1.0.0/WMTSCapabilities.xml",
    }
    return urlencode(parameters, safe=":/")


def _crs() -> ElementTree.Element:
    """Return the coordinate system of a layer."""
    return xml_element("spatialrefsys", {}, xml_element("proj4", {}, _PROJ), xml_element("authid", {}, _CRS))
