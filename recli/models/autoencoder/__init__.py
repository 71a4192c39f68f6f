"""Models that squeeze a history through a narrow layer and read the scores of all items off what comes out."""
