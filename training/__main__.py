"""``python -m training``."""

from runtime.common.start import start

if __name__ == "__main__":
    start("training.cli")
