"""Artifacts: one self-describing, self-verifying file for each thing that a command makes.

A table is Parquet, a model `.npz`, a result JSON. Each carries a header (what made it, from what) and its own
sha256. A file is written whole or not at all, and read once: the bytes that were verified are the bytes parsed.
"""

from recli.artifact.code import code_digest, modules_of
from recli.artifact.commit import commit, guard, is_stream, sha256_of
from recli.artifact.file import Artifact, Payload, find, load, save
from recli.artifact.header import FORMAT, Header, Parent, canonical, key_of

__all__ = [
    "FORMAT",
    "Artifact",
    "Header",
    "Parent",
    "Payload",
    "canonical",
    "code_digest",
    "commit",
    "find",
    "guard",
    "is_stream",
    "key_of",
    "load",
    "modules_of",
    "save",
    "sha256_of",
]
