"""What QGIS makes of a project and of a style; run by the Python that has QGIS, which is that of the system.

Arguments: the project, a daily file, a variable of it, and its style. Prints what was read as JSON, then draws the
first layer of the project and the styled file into ``project.png`` and ``file.png`` in the folder of the project.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from qgis.core import (  # type: ignore[import-not-found]
    QgsApplication,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize  # type: ignore[import-not-found]

BOX, SIZE = (-10, 35, 10, 50), (80, 60)
"""The edges of the cells in degrees, and their number: a pixel is a cell."""


def draw(layer: Any, out: Path) -> None:
    """Draw a layer into a picture."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(QgsRectangle(*BOX))
    settings.setOutputSize(QSize(*SIZE))
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(out))


def main(project_file: str, day_file: str, variable: str, style: str) -> None:
    """Read, print and draw."""
    application = QgsApplication([], False)
    application.initQgis()
    project = QgsProject.instance()
    was_read = project.read(project_file)
    tree = project.layerTreeRoot().findLayers()
    layers = [(node.layerId(), node.isVisible(), node.layer().isValid()) for node in tree]
    opened = QgsRasterLayer(f'NETCDF:"{day_file}":{variable}', variable)
    _, is_styled = opened.loadNamedStyle(style)
    print(json.dumps({"read": was_read, "crs": project.crs().authid(), "layers": layers, "styled": is_styled}))
    folder = Path(project_file).parent
    draw(tree[0].layer(), folder / "project.png")
    draw(opened, folder / "file.png")
    sys.stdout.flush()
    os._exit(0)  # taking QGIS apart while its objects live crashes it


if __name__ == "__main__":
    main(*sys.argv[1:])
