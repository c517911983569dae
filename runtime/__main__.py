"""``runtime ...`` and ``python -m runtime``."""

import gc

from runtime.common.start import start


def main() -> None:
    """Run the command line."""
    # A plan of twenty years makes a million small objects that stay; the garbage collector's passes are a fifth of it.
    gc.set_threshold(100_000)
    start("runtime.cli")


if __name__ == "__main__":
    main()
