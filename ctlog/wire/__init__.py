"""Published formats, one file per specification. Pure: bytes <-> frozen values."""
