"""``python -m recli``."""

from recli.cli import run

if __name__ == "__main__":
    run()
