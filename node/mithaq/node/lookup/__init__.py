"""Finding a record again: keyed index keys, sorted runs, and what a name match means.

The index holds keyed hashes and numbers of records, never a name or a number of
a document. It grows by appending sorted runs in the transaction of the receipt,
and is merged in bulk later, because a random B-tree insert per key is what makes
receiving slow (DESIGN 9).
"""
