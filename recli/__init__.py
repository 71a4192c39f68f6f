"""recli: the recommender-systems toolkit for the shell."""

__version__ = "0.1.0"
