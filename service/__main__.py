"""``python -m service``."""

from runtime.common.start import start

if __name__ == "__main__":
    start("service.cli")
