"""The steps that the commands run, as functions: files in, one artifact out, its path returned."""
