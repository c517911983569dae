"""The daily job: plan, fill, check, publish."""
