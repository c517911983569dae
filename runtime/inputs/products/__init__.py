"""Read one file of a product into one field on the grid."""
