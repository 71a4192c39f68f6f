"""Training of networks: the one loop and what it needs. Only here is torch imported, and in networks' own functions."""

import os

# The threads of torch's libgomp wait for their next piece of work by spinning, for milliseconds, on processors that the
# threads of our kernels or another program's could use. Read when torch is loaded; a third of the usual is kept, as
# pieces follow one another: none at all doubled the time of small steps.
os.environ.setdefault("GOMP_SPINCOUNT", "100000")
