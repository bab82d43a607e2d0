"""The relay: admits sealed entries, keeps them, hands them on, and cannot open one.

A sender's batch comes in over ``publish``, is judged by ``admission`` and becomes
durable in ``commit``, together with everything else that waited, in one transaction;
the answer leaves after that transaction and not before. A reader's connection is one
``delivery``: headers first, then, against the reader's committed receipt, bodies.
What a reader has not taken costs a number, never memory.

Its one rule: **the hub proves, it does not promise.** What it admits it cosigns, what it
drops it names with a signed refusal, what accuses somebody it keeps as evidence that a
third party can check. It holds no key that opens anything, this room names no cipher,
and it reaches signatures only through ``certs`` and ``ledger``.

It decides nothing about who takes part: the registry's entries carry their own
authority, the registrar orders them, and the hub only applies and relays them.
"""
