"""How one file of a product becomes one field on the grid."""
