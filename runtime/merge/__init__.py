"""Several sensors on one day: transfers to a reference sensor, and one field of all of them."""
