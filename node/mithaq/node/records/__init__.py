"""What a record is: its parts, the least it must say, and how people write and read it.

Bytes become a `ParsedRecord` here or are refused; inside the node nothing checks
a record again. The room is pure: no disk, no clock, no chance of its own. It does
not decide who may have a record (`agreements`) and does not seal it (`sealing`).
"""
