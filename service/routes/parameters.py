"""The parameters that several routes have, with the examples of their description (OpenAPI)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import Path, Query

_EXAMPLE = dt.date(2015, 4, 12)

Day = Annotated[dt.date, Path(examples=[_EXAMPLE], description="A day, UTC.")]
FirstDay = Annotated[
    dt.date | None, Query(alias="from", examples=[_EXAMPLE], description="The first day; without it the earliest.")
]
LastDay = Annotated[
    dt.date | None, Query(alias="to", examples=[_EXAMPLE], description="The last day; without it the newest.")
]
