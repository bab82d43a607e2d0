"""The local API: what officers, consoles and national systems call.

Agencies' people speak to their own node only, over mutual TLS with
certificates of the node's own authority. A certificate says who somebody is;
what they may do is a row of the node's officer table, read at every call.
Whoever looks must say why, and the look is logged before it is shown.
"""
