"""What all tests share."""

from hypothesis import settings

# A machine that does other work as well makes single examples slow, which is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
