"""The exchange with the other members, through the hub (PROTOCOL 3 to 5).

What this node sends and what it receives, so that a node killed at any moment loses
nothing and repeats nothing: every act is one transaction, every state is a row, and the
network is only told what is durable already. Judging is apart from storing: what can be
said of bytes without a database stands in modules of its own (`draft`, `judge`,
`receipts`, `refusals`, `freeze`).
"""
