"""Training of networks: the one loop and what it needs. Only here is torch imported, and in networks' own functions."""

import os

# The threads of torch's libgomp wait for their next piece of work by spinning, for milliseconds, on processors that the
# threads of our kernels or another program's could use. Read when torch is loaded. A thirtieth of the usual is kept, as
# small pieces follow one another: a step of bpr-torch and neumf takes as long, and one of lightgcn a quarter less; with
# a three hundredth those two take half as long again.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
