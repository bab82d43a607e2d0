"""A member's server: it seals, sends, receives, opens, stores, searches and audits.

Everything that a member does with its own keys and its own copies happens here;
the hub only relays. What can decrypt lives in `sealing` and nowhere else.
"""
