"""Lists that others publish, read into alerts without loss.

Reading is strict: what a reader does not know is an error that names its line,
never something left out in silence. The room reads text and yields records; it
issues nothing.
"""
