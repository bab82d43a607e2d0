"""Why something could not be measured."""


class MeasureError(Exception):
    """What was measured did something else than what was to be measured."""


class StoppedError(MeasureError):
    """What was waited for came no further."""


class NotInstalledError(MeasureError):
    """What would be measured is not on this machine."""
