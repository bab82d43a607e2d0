"""The registrar: puts registry entries in order and signs their time.

A small daemon of the trust administrators. It holds the issuing CA and its own
signing key, and no administrator's: what widens waits here until enough
administrators have signed it with keys of their own. It dials the hub like a
node does, takes enrolment requests from it and hands it the registry. What the
rules are stands in `mithaq.certs`; this room is their process, database and API.
"""
