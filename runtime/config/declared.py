"""Show the declarations of products: a line of a table, or the TOML to copy."""

from __future__ import annotations

import json
from typing import Any

from runtime.common.sensors import Product


def summary(product: Product) -> dict[str, str]:
    """Return what a product is, in a few words by column."""
    first, last = product.start or "", product.end or ""
    latency = "" if product.latency_days is None else f"{product.latency_days:g} days"
    return {
        "name": product.name,
        "what": str(product.what),
        "sensor": product.sensor,
        "bands": " ".join(product.bands),
        "grid": str(product.grid),
        "era": f"{first}..{last}" if first or last else "",
        "latency": latency,
        "licence": product.licence,
    }


def as_toml(product: Product) -> str:
    """Return the declaration of a product as a table of the configuration."""
    values = product.model_dump(mode="json", exclude_unset=True)
    dates = ("start", "end", "outages")
    lines = [f"{key} = {_toml(value, is_date=key in dates)}" for key, value in values.items() if value is not None]
    return "\n".join([f"[products.{product.name}]", *lines])


def _toml(value: Any, *, is_date: bool = False) -> str:
    """Return a value as TOML writes it; text is a literal string where it has backslashes, as patterns do."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items() if each is not None) + " }"
    if isinstance(value, list):
        return f"[{', '.join(_toml(each, is_date=is_date) for each in value)}]"
    if isinstance(value, str) and is_date:
        return value
    if isinstance(value, str) and "\\" in value and "'" not in value:
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)
