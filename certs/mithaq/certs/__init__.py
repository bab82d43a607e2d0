"""Who takes part: keys, certificates, and the registry that binds them to members.

A member is a member because the registry says so, and the registry says so because
the administrators signed it; never because a certificate chains to a CA, and never
because the hub says so. This room holds that rule, and what is needed to come under
it: making keys, asking to be enrolled, drawing up entries and signing them.

- ``keys``, ``keystore``, ``offline``: private keys and where they are kept;
- ``tls``, ``authority``: certificates, for the transport and for nothing else;
- ``acts``, ``entries``: what a registry entry says, and its signed bytes;
- ``mandate``: whose signatures each kind of entry needs;
- ``participants``, ``state``, ``transitions``, ``registry``: the replay, and what it shows;
- ``cards``, ``invitation``, ``enrolment``, ``registrar``: how a newcomer gets in.

It opens no connection and no database, reads no clock, and touches files in the two
key stores alone. It seals and opens nothing for others: the hub imports this room,
and the hub cannot decrypt. ``offline`` enciphers key files under a passphrase; it is
for the command line, and nothing that the hub imports may import it.
"""
