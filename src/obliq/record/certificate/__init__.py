"""Certificates: signed statements of what was done and measured; see docs/certificate-format.md."""
