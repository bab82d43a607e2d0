"""The story of the product, played for real: separate processes, real keys, one hub.

Every act goes through the command line's own clients and the parts' public
APIs. Nothing is pretended: what the demo prints, it has checked.
"""
