"""Certificates as bytes. Pure; knows no telephone numbers."""
