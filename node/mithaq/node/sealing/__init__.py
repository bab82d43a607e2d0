"""Sealing: the only place where a body is closed or opened (PROTOCOL 4).

Three layers, each with its own key and its own life: `epoch` wraps an epoch's secret
for each of its readers, `body` seals records under a content key that follows from the
secret, `at_rest` keeps what a node stores under keys that can be destroyed one by one.
Nothing outside this folder touches a cipher.
"""
