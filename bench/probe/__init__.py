"""The bare probe: what carrying records costs when nothing at all is checked.

Three processes as the product has them (sender, hub, reader; `grpc.aio` on uvloop, mutual
TLS), AES-GCM for each record, one Ed25519 signature for each batch of 256, and one durable
row for each record at all three. No registry, no agreement, no log, no receipt, no index,
no audit: it is the floor under the product, and the measure of the machine.
"""
