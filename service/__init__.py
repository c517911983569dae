"""The service: fills an archive every day, unattended, and shows it on a web page."""
