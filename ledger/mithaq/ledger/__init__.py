"""Logs whose every copy can be checked: trees, notes, receipts, streams.

One structure carries three things: what was disclosed (streams), what was done
(audit logs) and who may take part (the registry). This room holds the rules of
that structure and nothing that touches a disk, a network, a clock or chance:
what it needs of them is an argument. Sender, hub and reader run the same code
over the same bytes, so a difference between them is a fault or an attack, and
never an opinion.

What is within, from the ground up:

- ``tree`` and ``tiles``: the RFC 6962 tree, in memory and as rows of hashes;
- ``proof``: that a leaf is in a tree, that one tree continues another;
- ``names``, ``instants``, ``keytypes``: what stands in signed bytes, in one spelling;
- ``note``, ``checkpoint``, ``statement``, ``cosignature``, ``tlog_proof``: the C2SP text
  formats, so that a public tool can check what this code has signed;
- ``commitment``: padding, salted commitments and the strings bound into sealing;
- ``kinds``, ``terms``, ``entry``, ``run``: the bytes of a stream's entries, singly and
  in bulk;
- ``stream``: which entry may follow which.

It seals and opens nothing: ciphers live with the node, so that the hub, which
imports this room, cannot decrypt. It decides nothing about agreements either;
it only makes sure that what they are decided on cannot be changed afterwards.

Every fault is a ``LedgerError``. One that is evidence against somebody names the
alarm of PROTOCOL 6 that it raises.
"""
