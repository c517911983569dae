"""``python -m benchmarks.gpu``; see `benchmarks.gpu.run`."""

from benchmarks.gpu.run import main

if __name__ == "__main__":  # the processes of the sections import this file, too
    main()
