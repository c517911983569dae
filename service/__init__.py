"""The unattended daily job."""
