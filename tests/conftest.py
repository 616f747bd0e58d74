"""What holds for every test: no example of a property is timed, since other work shares the cores."""

from hypothesis import settings

settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")
