"""A log of phone-number certificates, and the library with which anyone checks it.

The verification library's public names are exported here; see each for its meaning and its errors.
"""

__version__ = "0.1.0"
