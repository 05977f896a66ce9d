"""What a certificate says about telephone numbers. Pure; knows no log."""
