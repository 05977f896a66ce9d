"""The tree: RFC 6962 section 2. Pure: bytes and values in, bytes and values out."""
