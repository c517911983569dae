"""``python -m export``."""

from runtime.common.start import start

if __name__ == "__main__":
    start("export.cli")
