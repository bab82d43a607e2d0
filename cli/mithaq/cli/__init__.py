"""The command line: what administrators, officers and auditors type.

Every command about alerts, hits, audit and agreements is a client of a node's
local API, every trust command a client of the registrar; none opens a
database. A group is imported only when it is called, so `--help` answers
without loading gRPC or a database driver.
"""
