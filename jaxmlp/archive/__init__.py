"""Archives: arrays by name and a description, in one file that is there whole or not at all.

The file is NumPy's ``.npz``, which ``numpy.load`` opens anywhere: a zip file, not compressed, with one entry for each
array and one named ``description``. That entry holds JSON as UTF-8: the format's version; each array's dtype, shape and
SHA-256; what the caller has to say about them; and last the SHA-256 of all the text before. Nothing is pickled.

A file is first written under a passing name, ``.jaxmlp-*.tmp``, then forced to the disk, then renamed. Its writer holds
a lock on it, which the system frees when the writer ends, however it ends: so what a dead writer left can be told from
what a live one is at.
"""

from jaxmlp.archive.file import ArchiveError, read, write
from jaxmlp.archive.file import to_json as to_json
from jaxmlp.archive.series import numbers, read_latest, write_next
from jaxmlp.archive.trees import flatten, unflatten

__all__ = ["ArchiveError", "flatten", "numbers", "read", "read_latest", "unflatten", "write", "write_next"]
